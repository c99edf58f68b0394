-- How many actions were planned each day, by what they do, their rule, lane, mode and state?
FROM moderation_actions
SELECT
    timezone('UTC', planned_at)::DATE AS day,
    event,
    value,
    rule_id,
    lane,
    mode,
    state,
    count(*) AS actions,
    count(DISTINCT coalesce(subject_uri, subject_did)) AS subjects,
    count(DISTINCT subject_did) AS accounts
GROUP BY ALL;
