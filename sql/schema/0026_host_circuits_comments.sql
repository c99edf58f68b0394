-- What host_circuits and its columns hold, for those who ask questions.
COMMENT ON TABLE host_circuits IS 'Hosts that failed lately, and until when they are not asked.';
COMMENT ON COLUMN host_circuits.host
    IS 'Address of a host in the settings; name and port of one that a stranger named.';
COMMENT ON COLUMN host_circuits.failures IS 'Failures in a row.';
COMMENT ON COLUMN host_circuits.open_until IS 'Until when the host is not asked; null if it is.';
COMMENT ON COLUMN host_circuits.updated_at IS 'When it last failed.';
