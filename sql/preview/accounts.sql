-- Which accounts have the most posts within the threshold of each rule?
FROM nearest
SELECT
    rule_id,
    did,
    count(DISTINCT uri) AS posts,
    count(DISTINCT blob_cid) AS images
WHERE
    rule_hash IS NULL
    AND within
GROUP BY
    rule_id,
    did
QUALIFY row_number() OVER (PARTITION BY rule_id ORDER BY posts DESC, images DESC, did) <= $limit
ORDER BY
    rule_id,
    posts DESC,
    images DESC,
    did;
