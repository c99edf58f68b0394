-- Keeps the hashes of a rules version, unless the version has them already.
INSERT INTO rule_hashes BY NAME
SELECT
    $version AS version,
    rule_id,
    rule_hash,
    ('0x' || rule_hash)::UBIGINT AS hash,
    $algorithm AS algorithm,
    threshold,
    rule_order,
    hash_order,
    mode
FROM (
    SELECT
        unnest(
            from_json(
                $hashes::JSON,
                '[{
                    "rule_id": "VARCHAR",
                    "rule_hash": "VARCHAR",
                    "threshold": "INTEGER",
                    "rule_order": "INTEGER",
                    "hash_order": "INTEGER",
                    "mode": "VARCHAR"
                }]'
            ),
            max_depth := 2
        )
)
WHERE NOT EXISTS (FROM rule_hashes WHERE version = $version);
