-- Makes room for the hashes of a rules version that is loaded again.
DELETE FROM rule_hashes
WHERE version = $version;
