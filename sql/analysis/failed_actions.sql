-- Which actions could not be sent, and why?
-- Refused by Ozone for good, or given up after too many attempts.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 30 DAYS: beginning of the period
FROM moderation_actions
SELECT
    state,
    event,
    value,
    rule_id,
    reason,
    count(*) AS actions,
    max(attempts) AS attempts,
    max(planned_at) AS latest,
    arg_max(source_uri, action_id) AS example
WHERE
    state IN ('failed', 'dead')
    AND planned_at >= coalesce(getvariable('since'), now() - INTERVAL 30 DAYS)::TIMESTAMPTZ
GROUP BY ALL
ORDER BY
    latest DESC,
    event,
    value,
    rule_id,
    reason;
