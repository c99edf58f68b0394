-- What does each rule decide, and how many of these posts does no rule in force decide?
FROM decided
SELECT
    rule_id,
    count(DISTINCT uri) AS posts,
    count(DISTINCT did) AS accounts,
    count(DISTINCT blob_cid) AS images,
    count(DISTINCT uri) FILTER (uri NOT IN (FROM decided_now SELECT uri)) AS new_posts
GROUP BY rule_id;
