-- Where are events missing for good?
-- Between these times a Jetstream host no longer had what was to be read next. What one host lacked
-- may have come from another: overlaps are not merged.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 7 DAYS: when it was noticed, at the earliest
FROM stream_gaps
SELECT
    from_time,
    to_time,
    round(epoch(to_time - from_time)) AS seconds,
    host,
    reason,
    noticed_at
WHERE
    day
    >= timezone('UTC', coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ)::DATE
    AND noticed_at >= coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ
ORDER BY
    from_time DESC,
    host;
