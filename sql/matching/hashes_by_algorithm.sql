-- How many hashes does a rules version have, by algorithm?
FROM rule_hashes
SELECT
    algorithm,
    count(*) AS hashes
WHERE version = $version
GROUP BY algorithm
ORDER BY algorithm;
