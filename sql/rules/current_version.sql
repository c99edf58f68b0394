-- The rules in force: the version loaded last.
FROM rule_versions
SELECT rules::VARCHAR
ORDER BY
    loaded_at DESC,
    version
LIMIT 1;
