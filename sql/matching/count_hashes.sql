-- How many hashes does a rules version have?
FROM rule_hashes
SELECT count(*)
WHERE version = $version;
