-- The different hashes that are missing by one algorithm and width, numbered: rules may share one.
CREATE OR REPLACE TEMP TABLE wanted_hashes AS
FROM missing_hashes
SELECT
    row_number() OVER ()::INTEGER AS hash_id,
    rule_hash,
    hash,
    hash_2,
    hash_3,
    hash_4,
    max(reach) AS reach
WHERE
    algorithm = $algorithm
    AND 4 * length(rule_hash) = $bits
GROUP BY ALL;
