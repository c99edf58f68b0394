-- What is held, and why?
-- Waits until a person releases or rejects it.
FROM moderation_actions
SELECT
    rule_id,
    event,
    value,
    lane,
    reason,
    count(*) AS actions,
    count(DISTINCT subject_did) AS accounts,
    min(planned_at) AS oldest,
    max(planned_at) AS newest,
    min(source_uri) AS example
WHERE state = 'held'
GROUP BY ALL
ORDER BY
    actions DESC,
    rule_id,
    event,
    reason;
