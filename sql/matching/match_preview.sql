-- The matches that one run found first, nearest first, for a glance in the Dagster UI.
FROM rule_matches
SELECT
    rule_id,
    rule_hash,
    distance,
    blob_cid
WHERE matched_at = $matched_at
ORDER BY
    distance,
    rule_id,
    blob_cid
LIMIT 10;
