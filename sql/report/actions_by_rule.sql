-- Which actions were planned since $since, by rule, event and state?
FROM moderation_actions
SELECT
    rule_id,
    event,
    value,
    lane,
    state,
    count(*) AS actions,
    count(DISTINCT subject_did) AS accounts
WHERE planned_at >= $since
GROUP BY ALL
ORDER BY ALL;
