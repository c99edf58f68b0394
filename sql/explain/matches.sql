-- Which rule hashes are these images near, of rules in force and of earlier ones?
WITH in_force AS (
    FROM rule_hashes
    SEMI JOIN version_in_force USING (version)
    SELECT DISTINCT
        rule_id,
        rule_hash,
        algorithm
)

FROM rule_matches
LEFT JOIN in_force USING (rule_id, rule_hash, algorithm)
LEFT JOIN hashes_in_force
    ON
        hashes_in_force.rule_id = rule_matches.rule_id
        AND hashes_in_force.rule_hash = rule_matches.rule_hash
LEFT JOIN image_hashes
    ON
        image_hashes.blob_cid = rule_matches.blob_cid
        AND image_hashes.algorithm = rule_matches.algorithm
SELECT
    rule_matches.blob_cid,
    rule_matches.rule_id,
    rule_matches.rule_hash,
    rule_matches.algorithm,
    rule_matches.distance,
    rule_matches.first_version,
    rule_matches.matched_at,
    coalesce(image_hashes.quality, 100) AS quality,
    hashes_in_force.in_force_since,
    in_force.rule_id IS NOT NULL AS counts
WHERE rule_matches.blob_cid IN (SELECT unnest($blob_cids))
ORDER BY
    rule_matches.distance,
    rule_matches.rule_id,
    rule_matches.rule_hash;
