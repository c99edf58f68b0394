-- How often was each label given, to live posts and to the past?
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 30 DAYS: beginning of the period
FROM moderation_actions
SELECT
    value AS label,
    lane,
    count(*) AS actions,
    count(*) FILTER (state = 'sent') AS sent,
    count(*) FILTER (state = 'shadow') AS shadow,
    count(*) FILTER (state = 'held') AS held,
    count(*) FILTER (state = 'suppressed') AS suppressed,
    count(*) FILTER (state NOT IN ('sent', 'shadow', 'held', 'suppressed')) AS others,
    count(DISTINCT subject_did) AS accounts
WHERE
    event = 'label'
    AND planned_at >= coalesce(getvariable('since'), now() - INTERVAL 30 DAYS)::TIMESTAMPTZ
GROUP BY ALL
ORDER BY
    label,
    lane DESC;
