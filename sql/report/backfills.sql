-- What did the backfills do since $since, by the rules version that they brought to the past?
FROM moderation_actions
SELECT
    batch_id,
    count(*) AS actions,
    count(DISTINCT source_uri) AS posts,
    count(DISTINCT subject_did) AS accounts,
    count(*) FILTER (state = 'sent') AS sent,
    count(*) FILTER (state = 'shadow') AS shadow,
    count(*) FILTER (state = 'held') AS held,
    min(planned_at) AS first_at,
    max(planned_at) AS last_at
WHERE
    lane = 'backfill'
    AND undoes IS NULL
    AND starts_with(batch_id, 'backfill-')
    AND planned_at >= $since
GROUP BY batch_id
ORDER BY
    last_at DESC,
    batch_id
LIMIT 10;
