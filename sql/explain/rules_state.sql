-- Which rules version is in force since when, and which was this hour matched with?
WITH last_load AS (
    FROM rule_loads
    ORDER BY load_number DESC
    LIMIT 1
)

FROM last_load
LEFT JOIN partition_matches ON partition_key = $hour
SELECT
    last_load.version,
    last_load.loaded_at,
    partition_matches.version AS hour_matched_with,
    partition_matches.matched_at AS hour_matched_at;
