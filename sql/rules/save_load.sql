-- Numbers this load of the rules, unless nothing changed since the one before.
INSERT INTO rule_loads BY NAME
WITH loaded AS (
    SELECT
        $version AS version,
        $loaded_at AS loaded_at,
        $files::JSON AS files,
        $commit_id AS commit_id,
        $dirty AS dirty
),

latest AS (
    FROM rule_loads
    ORDER BY load_number DESC
    LIMIT 1
)

FROM loaded
ANTI JOIN latest
    ON
        loaded.version = latest.version
        AND loaded.files IS NOT DISTINCT FROM latest.files
        AND loaded.commit_id IS NOT DISTINCT FROM latest.commit_id
        AND loaded.dirty IS NOT DISTINCT FROM latest.dirty
SELECT
    coalesce((FROM latest SELECT load_number), 0) + 1 AS load_number,
    version,
    loaded_at,
    files,
    commit_id,
    dirty;
