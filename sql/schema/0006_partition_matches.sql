-- Which rules version each hour was last matched with; what a backfill still has to do.
CREATE TABLE partition_matches (
    partition_key VARCHAR PRIMARY KEY,
    version VARCHAR NOT NULL,
    matched_at TIMESTAMPTZ NOT NULL
);
