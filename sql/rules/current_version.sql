-- The rules in force: those loaded last.
FROM rule_versions
SEMI JOIN version_in_force USING (version)
SELECT rules::VARCHAR;
