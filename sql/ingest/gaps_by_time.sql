-- Which gaps are there, the latest first?
FROM stream_gaps
SELECT
    from_time,
    to_time,
    host,
    reason,
    noticed_at
ORDER BY ALL DESC;
