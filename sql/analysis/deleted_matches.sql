-- Which matching posts were deleted, and how soon?
-- Who deletes within minutes may be testing what is found.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 7 DAYS: beginning of the period
WITH matched AS (
    FROM post_matches
    SELECT
        rule_id,
        uri,
        did,
        min(seen_at) AS seen_at
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ)
        AND within
        AND kind = 'match'
    GROUP BY
        rule_id,
        uri,
        did
),

deletes AS (
    FROM image_post_files
    SELECT
        uri,
        make_timestamptz(max(time_us)) AS deleted_at
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ)
        AND operation = 'delete'
    GROUP BY uri
)

FROM matched
LEFT JOIN deletes
    ON
        deletes.uri = matched.uri
        AND deletes.deleted_at >= matched.seen_at
SELECT
    matched.rule_id,
    count(*) AS posts,
    count(deleted_at) AS deleted,
    count(DISTINCT matched.did) FILTER (deleted_at IS NOT NULL) AS by_accounts,
    round(median(epoch(deleted_at - matched.seen_at)) / 60, 1) AS median_minutes,
    round(min(epoch(deleted_at - matched.seen_at)) / 60, 1) AS soonest_minutes
GROUP BY matched.rule_id
ORDER BY
    deleted DESC,
    matched.rule_id;
