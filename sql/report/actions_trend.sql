-- How many actions were planned in each span of $span since $since, by what became of them?
-- What takes another action back is not counted. Spans without an action have no row.
FROM moderation_actions
SELECT
    time_bucket($span::INTERVAL, timezone('UTC', planned_at)) AS start,
    CASE
        WHEN state IN ('planned', 'sending') THEN 'waiting'
        WHEN state IN ('failed', 'dead') THEN 'failed'
        ELSE state
    END AS fate,
    count(*) AS actions
WHERE
    planned_at >= $since
    AND undoes IS NULL
GROUP BY ALL
ORDER BY
    fate,
    start;
