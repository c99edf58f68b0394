-- How many actions were there each day, by rule and state?
-- By the day they were planned on, in UTC.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 30 DAYS: beginning of the period
FROM actions_daily
SELECT
    day,
    rule_id,
    event,
    value,
    state,
    sum(actions)::BIGINT AS actions
WHERE
    day
    >= timezone(
        'UTC', coalesce(getvariable('since'), now() - INTERVAL 30 DAYS)::TIMESTAMPTZ
    )::DATE
GROUP BY ALL
ORDER BY
    day DESC,
    rule_id,
    event,
    value,
    state;
