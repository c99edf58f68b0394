-- Which accounts were hit most?
-- By the posts that led to actions, recorded ones too; what was taken back is not counted.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 7 DAYS: beginning of the period
--   most INTEGER = 50: rows
FROM moderation_actions
SELECT
    subject_did AS did,
    count(DISTINCT source_uri) AS posts,
    count(*) AS actions,
    count(*) FILTER (state = 'sent') AS sent,
    count(*) FILTER (state = 'held') AS held,
    count(*) FILTER (state = 'shadow') AS shadow,
    list(DISTINCT rule_id ORDER BY rule_id) AS rules,
    min(planned_at) AS first_at,
    max(planned_at) AS last_at
WHERE
    planned_at >= coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ
    AND undoes IS NULL
    AND state <> 'suppressed'
GROUP BY subject_did
ORDER BY
    posts DESC,
    actions DESC,
    did
LIMIT coalesce(getvariable('most'), 50)::INTEGER;
