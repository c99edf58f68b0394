-- The hosts that failed, by their failures in a row, and until when they are not asked. Runs are
-- short, so what one of them learned about a host is kept for the next.
-- An operator's host is named by its address in the settings, a stranger's by name and port.
CREATE TABLE host_circuits (
    host VARCHAR PRIMARY KEY,
    failures INTEGER NOT NULL,
    open_until TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL
);
