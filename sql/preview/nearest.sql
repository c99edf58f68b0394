-- How near is each image of a post to each rule hash, and (without a rule hash) to each rule?
CREATE OR REPLACE TEMP TABLE nearest AS
FROM reached
SELECT
    rule_id,
    rule_hash,
    uri,
    did,
    blob_cid,
    min(distance) AS distance,
    bool_or(within) AS within
GROUP BY GROUPING SETS (
    (rule_id, rule_hash, uri, did, blob_cid),
    (rule_id, uri, did, blob_cid)
);
