-- Which batches that ended after $since_us brought something to the hour $hour?
WITH parts AS (
    FROM ingest_batches
    SELECT
        * EXCLUDE (files),
        unnest(files) AS part
)

FROM parts
SELECT
    ended_us,
    host,
    newest_us,
    seq,
    tip_seq,
    events,
    posts,
    malformed,
    anomalies,
    part.file,
    part.rows,
    part.images,
    part.bytes
WHERE
    part.hour = $hour
    AND ended_us > $since_us
ORDER BY ended_us;
