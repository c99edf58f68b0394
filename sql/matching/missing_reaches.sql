-- How many different missing hashes are there, by algorithm, width in bits, and reach?
FROM (
    FROM missing_hashes
    SELECT
        algorithm,
        rule_hash,
        max(reach) AS reach
    GROUP BY ALL
) AS distinct_hashes
SELECT
    algorithm,
    4 * length(rule_hash) AS bits,
    reach,
    count(*) AS hashes
GROUP BY ALL
ORDER BY ALL;
