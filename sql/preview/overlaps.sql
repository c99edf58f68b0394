-- Which rules in force decide posts that lie within the threshold of each rule?
FROM nearest
INNER JOIN decided_now ON nearest.uri = decided_now.uri
SELECT
    nearest.rule_id,
    decided_now.rule_id AS rule_in_force,
    count(DISTINCT nearest.uri) AS posts,
    count(DISTINCT nearest.did) AS accounts
WHERE
    nearest.rule_hash IS NULL
    AND nearest.within
GROUP BY ALL
ORDER BY
    nearest.rule_id,
    posts DESC,
    rule_in_force;
