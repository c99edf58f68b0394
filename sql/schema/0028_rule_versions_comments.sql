-- What rule_versions and its columns hold, for those who ask questions.
COMMENT ON TABLE rule_versions
    IS 'Every set of rules that was ever in force, by the hash of its content.';
COMMENT ON COLUMN rule_versions.version IS 'SHA-256 of what the rules do.';
COMMENT ON COLUMN rule_versions.loaded_at IS 'When it was last put in force.';
COMMENT ON COLUMN rule_versions.source IS 'Names of the rule files, by commas.';
COMMENT ON COLUMN rule_versions.rules
    IS 'The rules as JSON, in the format of rule files, with what was set aside.';
