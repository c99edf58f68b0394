-- The latest actions since $since: on whom, by which rule, and what became of each.
FROM moderation_actions
SELECT
    planned_at,
    event,
    value,
    coalesce(subject_uri, subject_did) AS subject,
    rule_id,
    rule_hash,
    distance,
    lane,
    state,
    reason
WHERE planned_at >= $since
ORDER BY
    planned_at DESC,
    action_id DESC
LIMIT 25;
