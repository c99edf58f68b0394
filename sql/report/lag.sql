-- How old was the newest event when a batch had been read, over the batches since $since?
FROM pipeline_lag
SELECT
    count(*) AS batches,
    median(lag_seconds) AS median_seconds,
    quantile_cont(lag_seconds, 0.95) AS p95_seconds,
    max(lag_seconds) AS longest_seconds,
    arg_max(host, ended_at) AS host,
    sum(seconds) AS reading_seconds,
    sum(events)::BIGINT AS events
WHERE
    day >= timezone('UTC', $since::TIMESTAMPTZ)::DATE
    AND ended_at >= $since;
