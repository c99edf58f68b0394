-- How old was the newest event when a batch was read, over the attached batches?
FROM pipeline_lag
SELECT
    count(*) AS batches,
    median(lag_seconds) AS median_seconds,
    quantile_cont(lag_seconds, 0.95) AS p95_seconds,
    max(lag_seconds) AS longest_seconds,
    arg_max(host, ended_at) AS host;
