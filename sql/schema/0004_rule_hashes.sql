-- The hashes of each rules version, in the order in which rules and hashes stand in their files.
CREATE TABLE rule_hashes (
    version VARCHAR NOT NULL,
    rule_id VARCHAR NOT NULL,
    rule_hash VARCHAR NOT NULL,
    hash UBIGINT NOT NULL,
    algorithm VARCHAR NOT NULL,
    threshold INTEGER NOT NULL,
    rule_order INTEGER NOT NULL,
    hash_order INTEGER NOT NULL,
    mode VARCHAR NOT NULL
);
