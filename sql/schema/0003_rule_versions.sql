-- Every set of rules that was ever in force, by the hash of its content.
CREATE TABLE rule_versions (
    version VARCHAR PRIMARY KEY,
    loaded_at TIMESTAMPTZ NOT NULL,
    source VARCHAR NOT NULL,
    rules JSON NOT NULL
);
