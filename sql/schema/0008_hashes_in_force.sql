-- Since when each rule hash in force acts as it does. Posts from before that are the past: they
-- belong to the lane `backfill`, whichever run comes upon them.
CREATE TABLE hashes_in_force (
    rule_id VARCHAR NOT NULL,
    rule_hash VARCHAR NOT NULL,
    threshold INTEGER NOT NULL,
    mode VARCHAR NOT NULL,
    in_force_since TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (rule_id, rule_hash)
);
