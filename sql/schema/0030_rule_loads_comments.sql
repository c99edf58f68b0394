-- What rule_loads and its columns hold, for those who ask questions.
COMMENT ON TABLE rule_loads
    IS 'Each time that rules came into force; the load with the largest number is in force.';
COMMENT ON COLUMN rule_loads.load_number IS 'Grows with each load.';
COMMENT ON COLUMN rule_loads.version IS 'Rules version that came into force.';
COMMENT ON COLUMN rule_loads.loaded_at IS 'When.';
COMMENT ON COLUMN rule_loads.files
    IS 'Names and texts of the rule files, as JSON; null if unknown.';
COMMENT ON COLUMN rule_loads.commit_id
    IS 'Git commit of the folder of rules; null outside of a checkout.';
COMMENT ON COLUMN rule_loads.dirty IS 'Whether the files were not as committed.';
