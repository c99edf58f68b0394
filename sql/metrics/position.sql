-- How far was the last batch: when did it end, up to where was read, and what did the host have
-- beyond it, where it said so?
FROM ingest_batches
SELECT
    ended_us,
    cursor_us,
    CASE WHEN tip_seq < seq THEN 0 ELSE tip_seq - seq END AS behind_events
ORDER BY ended_us DESC
LIMIT 1;
