-- How late was the pipeline, hour by hour?
-- The age of the newest event when a batch had been read, in seconds.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 1 DAY: beginning of the period
FROM pipeline_lag
SELECT
    hour_of(ended_at) AS hour,
    count(*) AS batches,
    round(median(lag_seconds), 1) AS median_seconds,
    round(quantile_cont(lag_seconds, 0.95), 1) AS p95_seconds,
    round(max(lag_seconds), 1) AS longest_seconds,
    sum(events)::BIGINT AS events,
    list(DISTINCT host ORDER BY host) AS hosts
WHERE
    day
    >= timezone('UTC', coalesce(getvariable('since'), now() - INTERVAL 1 DAY)::TIMESTAMPTZ)::DATE
    AND ended_at >= coalesce(getvariable('since'), now() - INTERVAL 1 DAY)::TIMESTAMPTZ
GROUP BY ALL
ORDER BY hour DESC;
