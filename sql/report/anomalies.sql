-- What in events was not understood since $since, by type, with one sample AT URI each?
-- Strangers choose the types of embeds: the most frequent are shown.
WITH noted AS (
    FROM ingest_batches
    SELECT
        ended_us,
        unnest(anomalies) AS anomaly
    WHERE
        day >= timezone('UTC', $since::TIMESTAMPTZ)::DATE
        AND make_timestamptz(ended_us) >= $since
)

FROM noted
SELECT
    anomaly.name AS type,
    sum(anomaly.count)::BIGINT AS times,
    make_timestamptz(min(ended_us)) AS first_time,
    make_timestamptz(max(ended_us)) AS last_time,
    arg_max(anomaly.sample, ended_us) AS sample
GROUP BY anomaly.name
ORDER BY
    times DESC,
    type
LIMIT 20;
