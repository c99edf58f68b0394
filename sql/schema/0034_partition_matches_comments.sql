-- What partition_matches and its columns hold, for those who ask questions.
COMMENT ON TABLE partition_matches IS 'Which rules version each hour was last matched with.';
COMMENT ON COLUMN partition_matches.partition_key IS 'The hour, e.g. 2026-11-23-19:00, in UTC.';
COMMENT ON COLUMN partition_matches.version IS 'Rules version.';
COMMENT ON COLUMN partition_matches.matched_at IS 'When.';
