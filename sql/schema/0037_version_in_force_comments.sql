-- What version_in_force and its columns hold, for those who ask questions.
COMMENT ON VIEW version_in_force IS 'The rules version in force: that of the last load.';
COMMENT ON COLUMN version_in_force.version IS 'Rules version.';
