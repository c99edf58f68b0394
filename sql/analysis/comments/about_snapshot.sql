-- What about_snapshot and its columns hold, for those who ask questions.
COMMENT ON TABLE about_snapshot IS 'When the snapshot was taken.';
COMMENT ON COLUMN about_snapshot.taken_at IS 'When its tables were read.';
COMMENT ON COLUMN about_snapshot.made_by IS 'Digest of the statements that made it.';
