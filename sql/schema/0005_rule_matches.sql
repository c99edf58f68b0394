-- Images near a rule hash. Kept beyond the threshold by a margin; the threshold is applied later.
CREATE TABLE rule_matches (
    blob_cid VARCHAR NOT NULL,
    rule_id VARCHAR NOT NULL,
    rule_hash VARCHAR NOT NULL,
    distance INTEGER NOT NULL,
    first_version VARCHAR NOT NULL,
    matched_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (blob_cid, rule_id, rule_hash)
);
