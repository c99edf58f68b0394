-- How many posts have an image at each distance from each rule hash, and (without a rule hash) from
-- the nearest hash of each rule?
FROM nearest
SELECT
    rule_id,
    rule_hash,
    distance,
    within,
    count(DISTINCT uri) AS posts,
    count(DISTINCT blob_cid) AS images
GROUP BY ALL
ORDER BY ALL;
