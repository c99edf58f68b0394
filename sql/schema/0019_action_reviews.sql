-- What the ledger's copy lacks of the ledger: reviews by people, undone actions, failed runs.
ALTER TABLE moderation_actions ADD COLUMN failed_runs INTEGER DEFAULT 0;
ALTER TABLE moderation_actions ADD COLUMN undoes BIGINT;
ALTER TABLE moderation_actions ADD COLUMN review VARCHAR;
ALTER TABLE moderation_actions ADD COLUMN reviewed_at TIMESTAMPTZ;
ALTER TABLE moderation_actions ADD COLUMN reviewed_by VARCHAR;
ALTER TABLE moderation_actions ADD COLUMN settled_at TIMESTAMPTZ;
