-- Which rules versions begin with these characters?
FROM rule_versions
SELECT rules::VARCHAR
WHERE starts_with(version, $prefix)
LIMIT 2;
