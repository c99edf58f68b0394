-- The matches of the attached hours, nearest first, for a glance in the Dagster UI.
FROM partition_images
INNER JOIN rule_matches USING (blob_cid)
SELECT
    rule_id,
    rule_hash,
    distance,
    blob_cid
ORDER BY
    distance,
    rule_id,
    blob_cid
LIMIT 10;
