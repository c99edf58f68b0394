-- What in events was not understood or not taken, by type, with one sample AT URI each?
WITH noted AS (
    FROM ingest_batches
    SELECT
        ended_us,
        unnest(anomalies) AS anomaly
)

FROM noted
SELECT
    anomaly.name AS type,
    sum(anomaly.count)::BIGINT AS count,
    make_timestamptz(min(ended_us)) AS first_time,
    make_timestamptz(max(ended_us)) AS last_time,
    arg_max(anomaly.sample, ended_us) AS sample
GROUP BY anomaly.name;
