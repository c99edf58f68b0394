-- What partition_plans and its columns hold, for those who ask questions.
COMMENT ON TABLE partition_plans IS
'Which rules version the actions of each hour were last planned with.';
COMMENT ON COLUMN partition_plans.partition_key IS 'The hour, e.g. 2026-11-23-19:00, in UTC.';
COMMENT ON COLUMN partition_plans.version IS 'Rules version.';
COMMENT ON COLUMN partition_plans.planned_at IS 'When.';
