-- Is this rules version stored? One row if it is.
FROM rule_versions
SELECT version
WHERE version = $version;
