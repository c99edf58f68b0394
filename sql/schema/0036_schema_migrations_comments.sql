-- What schema_migrations and its columns hold, for those who ask questions.
COMMENT ON TABLE schema_migrations IS 'The files of sql/schema that this database has seen.';
COMMENT ON COLUMN schema_migrations.name IS 'Name of the file, without suffix.';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied.';
