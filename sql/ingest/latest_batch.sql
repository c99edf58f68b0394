-- How did the last batch do?
FROM pipeline_lag
SELECT
    ended_at,
    host,
    lag_seconds,
    sequence_lag,
    caught_up,
    events_per_second
ORDER BY ended_at DESC
LIMIT 1;
