-- When which rules came into force, from which texts and, in a git checkout, at which commit. The
-- load with the largest number is in force, whatever the clocks said.
-- files: [{"name": …, "text": …}]. dirty: the files were not as committed.
CREATE TABLE rule_loads (
    load_number BIGINT PRIMARY KEY,
    version VARCHAR NOT NULL,
    loaded_at TIMESTAMPTZ NOT NULL,
    files JSON,
    commit_id VARCHAR,
    dirty BOOLEAN
);

INSERT INTO rule_loads (load_number, version, loaded_at)
FROM rule_versions
SELECT
    row_number() OVER (ORDER BY loaded_at, version DESC) AS load_number,
    version,
    loaded_at;

CREATE VIEW version_in_force AS
FROM rule_loads
SELECT version
ORDER BY load_number DESC
LIMIT 1;
