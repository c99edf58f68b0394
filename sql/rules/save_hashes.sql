-- Keeps the hashes of a rules version. Those wider than 64 bits fill hash_2 to hash_4 too.
INSERT INTO rule_hashes BY NAME
SELECT
    $version AS version,
    rule_id,
    rule_hash,
    ('0x' || rule_hash[1:16])::UBIGINT AS hash,
    ('0x' || nullif(rule_hash[17:32], ''))::UBIGINT AS hash_2,
    ('0x' || nullif(rule_hash[33:48], ''))::UBIGINT AS hash_3,
    ('0x' || nullif(rule_hash[49:64], ''))::UBIGINT AS hash_4,
    kind,
    algorithm,
    threshold,
    rule_order,
    hash_order,
    mode,
    set_aside
FROM (
    SELECT
        unnest(
            from_json(
                $hashes::JSON,
                '[{
                    "rule_id": "VARCHAR",
                    "rule_hash": "VARCHAR",
                    "kind": "VARCHAR",
                    "algorithm": "VARCHAR",
                    "threshold": "INTEGER",
                    "rule_order": "INTEGER",
                    "hash_order": "INTEGER",
                    "mode": "VARCHAR",
                    "set_aside": "VARCHAR"
                }]'
            ),
            max_depth := 2
        )
);
