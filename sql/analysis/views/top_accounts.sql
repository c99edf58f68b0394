-- What did the ledger record about each account and its posts?
FROM moderation_actions
SELECT
    subject_did AS did,
    count(DISTINCT source_uri) AS posts,
    count(*) AS actions,
    count(*) FILTER (state = 'sent') AS sent,
    count(*) FILTER (state = 'shadow') AS shadow,
    count(*) FILTER (state = 'held') AS held,
    list(DISTINCT rule_id ORDER BY rule_id) AS rules,
    list(DISTINCT value ORDER BY value) FILTER (value <> '') AS labels,
    min(planned_at) AS first_at,
    max(planned_at) AS last_at
WHERE undoes IS NULL
GROUP BY subject_did;
