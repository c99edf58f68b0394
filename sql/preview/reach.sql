-- How much lies within the threshold of each rule hash, and (without a rule hash) of each rule; and
-- how much more would lie within one that is larger by the margin?
FROM nearest
SELECT
    rule_id,
    rule_hash,
    count(DISTINCT uri) FILTER (within) AS posts,
    count(DISTINCT did) FILTER (within) AS accounts,
    count(DISTINCT blob_cid) FILTER (within) AS images,
    count(DISTINCT uri) - posts AS posts_beyond,
    count(DISTINCT did) - accounts AS accounts_beyond,
    count(DISTINCT blob_cid) - images AS images_beyond
GROUP BY ALL;
