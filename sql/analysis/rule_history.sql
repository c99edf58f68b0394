-- When did which rules come into force, and did they reach the past?
-- `hours` counts the hours of posts that were last matched with that version.
--
-- Parameters:
--   most INTEGER = 20: rows
WITH hashes AS (
    FROM rule_hashes
    SELECT
        version,
        count(DISTINCT rule_id) AS rules,
        count(*) FILTER (kind = 'match') AS hashes,
        count(*) FILTER (set_aside IS NOT NULL) AS set_aside
    GROUP BY version
),

hours AS (
    FROM partition_matches
    SELECT
        version,
        count(*) AS hours,
        max(matched_at) AS matched_at
    GROUP BY version
)

FROM rule_loads
LEFT JOIN hashes USING (version)
LEFT JOIN hours USING (version)
SELECT
    load_number,
    loaded_at,
    version,
    left(commit_id, 12) || CASE WHEN dirty THEN ' and changes' ELSE '' END AS commit_id,
    coalesce(rules, 0) AS rules,
    coalesce(hashes, 0) AS hashes,
    coalesce(set_aside, 0) AS set_aside,
    coalesce(hours, 0) AS hours,
    matched_at
ORDER BY load_number DESC
LIMIT coalesce(getvariable('most'), 20)::INTEGER;
