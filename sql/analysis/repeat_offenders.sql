-- Which accounts come back?
-- Accounts whose posts led to actions as they came (lane live) on several days (UTC), recorded
-- actions too.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 90 DAYS: beginning of the period
--   days INTEGER = 2: different days, at least
--   most INTEGER = 50: rows
FROM moderation_actions
SELECT
    subject_did AS did,
    count(DISTINCT timezone('UTC', planned_at)::DATE) AS days,
    count(DISTINCT source_uri) AS posts,
    list(DISTINCT rule_id ORDER BY rule_id) AS rules,
    min(planned_at) AS first_at,
    max(planned_at) AS last_at,
    bool_or(subject_uri IS NULL AND state = 'sent') AS account_acted_upon
WHERE
    planned_at >= coalesce(getvariable('since'), now() - INTERVAL 90 DAYS)::TIMESTAMPTZ
    AND undoes IS NULL
    AND state <> 'suppressed'
    AND lane = 'live'
GROUP BY subject_did
HAVING
    count(DISTINCT timezone('UTC', planned_at)::DATE) >= coalesce(getvariable('days'), 2)::INTEGER
ORDER BY
    days DESC,
    posts DESC,
    did
LIMIT coalesce(getvariable('most'), 50)::INTEGER;
