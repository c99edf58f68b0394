-- What find_near and compare_all find; a pair may stand in it several times.
CREATE OR REPLACE TEMP TABLE near_pairs (
    hash_number BIGINT,
    hash_id INTEGER,
    distance INTEGER
);
