-- How far behind was each batch, by the clock and by the stream's own count, and how fast was it?
-- lag_seconds: our clock when reading ended, less the newest event. It grows while the pipeline
-- or the host falls behind. sequence_lag: events the host had beyond what was read, where known.
FROM ingest_batches
SELECT
    day,
    make_timestamptz(ended_us) AS ended_at,
    host,
    (ended_us - newest_us) / 1e6 AS lag_seconds,
    CASE WHEN tip_seq < seq THEN 0 ELSE tip_seq - seq END AS sequence_lag,
    caught_up,
    (ended_us - started_us) / 1e6 AS seconds,
    events,
    posts,
    events / nullif((ended_us - started_us) / 1e6, 0) AS events_per_second,
    name AS batch;
