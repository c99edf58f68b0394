-- How many of the new matches are there by rule, within its threshold and in the margin beyond?
-- Images that are near to an exception of a rule do not match it.
FROM new_matches
INNER JOIN (
    FROM rule_hashes
    SELECT DISTINCT
        rule_id,
        rule_hash,
        algorithm,
        threshold
    WHERE
        version = $version
        AND kind = 'match'
) AS looked_for USING (rule_id, rule_hash, algorithm)
SELECT
    rule_id,
    CASE WHEN distance <= threshold THEN 'threshold' ELSE 'margin' END AS within,
    count(*) AS matches
GROUP BY ALL;
