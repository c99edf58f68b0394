-- Which rules in force matched nothing?
-- No post within the threshold in the period. `nearest` is the smallest distance of any image ever
-- seen, if one came within MATCH_MARGIN bits of the threshold.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 30 DAYS: beginning of the period
WITH matched AS (
    FROM post_matches
    SELECT DISTINCT rule_id
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 30 DAYS)::TIMESTAMPTZ)
        AND within
        AND kind = 'match'
),

nearest AS (
    FROM rule_matches
    INNER JOIN rule_hashes USING (rule_id, rule_hash, algorithm)
    SEMI JOIN version_in_force USING (version)
    SELECT
        rule_id,
        min(distance) AS nearest,
        max(matched_at) AS last_found
    WHERE kind = 'match'
    GROUP BY rule_id
)

FROM rules_in_force
ANTI JOIN matched USING (rule_id)
LEFT JOIN nearest USING (rule_id)
SELECT
    rule_id,
    label,
    mode,
    hashes,
    threshold,
    in_force_since,
    nearest,
    last_found
ORDER BY rule_order;
