-- What did a rules version change in the hashes to match, and what did that find?
-- Against the version that was in force before it. `images` are those within the threshold by the
-- version in question, of removed hashes by the one before.
--
-- Parameters:
--   version VARCHAR = (FROM version_in_force SELECT version): the version, or how it begins
WITH chosen AS (
    FROM rule_loads
    SELECT
        load_number,
        version
    WHERE
        starts_with(
            version,
            coalesce(getvariable('version'), (FROM version_in_force SELECT version))::VARCHAR
        )
    ORDER BY load_number DESC
    LIMIT 1
),

before AS (
    FROM rule_loads
    SELECT version
    WHERE
        load_number < (FROM chosen SELECT load_number)
        AND version <> (FROM chosen SELECT version)
    ORDER BY load_number DESC
    LIMIT 1
),

hashes AS (
    FROM (FROM rule_hashes SEMI JOIN chosen USING (version)) AS new_hashes
    FULL JOIN (FROM rule_hashes SEMI JOIN before USING (version)) AS old_hashes
        ON
            old_hashes.rule_id = new_hashes.rule_id
            AND old_hashes.rule_hash = new_hashes.rule_hash
            AND old_hashes.algorithm = new_hashes.algorithm
            AND old_hashes.kind = new_hashes.kind
    SELECT
        coalesce(new_hashes.rule_id, old_hashes.rule_id) AS rule_id,
        coalesce(new_hashes.rule_hash, old_hashes.rule_hash) AS rule_hash,
        coalesce(new_hashes.algorithm, old_hashes.algorithm) AS algorithm,
        coalesce(new_hashes.kind, old_hashes.kind) AS kind,
        coalesce(new_hashes.threshold, old_hashes.threshold) AS reach,
        coalesce(new_hashes.rule_order, old_hashes.rule_order) AS rule_order,
        list_filter(
            [
                CASE WHEN old_hashes.rule_id IS NULL THEN 'added' END,
                CASE WHEN new_hashes.rule_id IS NULL THEN 'removed' END,
                CASE
                    WHEN old_hashes.threshold <> new_hashes.threshold
                        THEN format(
                            'threshold {} to {}', old_hashes.threshold, new_hashes.threshold
                        )
                END,
                CASE
                    WHEN old_hashes.mode <> new_hashes.mode
                        THEN format('{} to {}', old_hashes.mode, new_hashes.mode)
                END,
                CASE
                    WHEN old_hashes.set_aside IS NULL AND new_hashes.set_aside IS NOT NULL
                        THEN format('set aside: {}', new_hashes.set_aside)
                END,
                CASE
                    WHEN old_hashes.set_aside IS NOT NULL AND new_hashes.rule_id IS NOT NULL
                        AND new_hashes.set_aside IS NULL
                        THEN 'no longer set aside'
                END
            ],
            lambda change: change IS NOT NULL
        ) AS changes
)

FROM hashes
LEFT JOIN rule_matches
    ON
        rule_matches.rule_id = hashes.rule_id
        AND rule_matches.rule_hash = hashes.rule_hash
        AND rule_matches.algorithm = hashes.algorithm
        AND rule_matches.distance <= hashes.reach
SELECT
    hashes.rule_id,
    hashes.rule_hash,
    hashes.kind,
    hashes.changes,
    count(DISTINCT rule_matches.blob_cid) AS images,
    count(DISTINCT rule_matches.blob_cid) FILTER (
        rule_matches.first_version = (FROM chosen SELECT version)
    ) AS first_found
WHERE len(hashes.changes) > 0
GROUP BY ALL
ORDER BY
    min(hashes.rule_order),
    hashes.rule_id,
    hashes.rule_hash,
    hashes.kind;
