-- Is every image accounted for, hour by hour?
-- The parts add up to `seen`. An image counts in each hour in which it was posted, as it stands by
-- now.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 1 DAY: beginning of the period
FROM coverage
SELECT
    *,
    round(100 * hashed / seen, 1) AS hashed_percent
WHERE hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 1 DAY)::TIMESTAMPTZ)
ORDER BY hour DESC;
