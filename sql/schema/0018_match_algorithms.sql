-- A rule can keep its hashes and change its algorithm, so a match names the algorithm it was found
-- by. One row per (blob_cid, rule_id, rule_hash, algorithm), which matching sees to: an index over
-- these texts would make adding a million matches take 10 s instead of 1 s, and the file 5 times as
-- large.
CREATE TABLE matches_by_algorithm (
    blob_cid VARCHAR NOT NULL,
    rule_id VARCHAR NOT NULL,
    rule_hash VARCHAR NOT NULL,
    algorithm VARCHAR NOT NULL,
    distance INTEGER NOT NULL,
    first_version VARCHAR NOT NULL,
    matched_at TIMESTAMPTZ NOT NULL
);

INSERT INTO matches_by_algorithm BY NAME
FROM rule_matches
LEFT JOIN (
    FROM rule_hashes
    SELECT DISTINCT
        version AS first_version,
        rule_id,
        rule_hash,
        algorithm
) AS found_by USING (first_version, rule_id, rule_hash)
SELECT
    rule_matches.*,
    coalesce(found_by.algorithm, 'average') AS algorithm;

DROP TABLE rule_matches;

ALTER TABLE matches_by_algorithm RENAME TO rule_matches;
