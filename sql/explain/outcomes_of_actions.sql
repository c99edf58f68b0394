-- What became of these actions at the labeler?
FROM action_outcomes
SELECT
    action_id,
    ozone_event_id,
    outcome,
    by_did,
    by_kind,
    happened_at,
    comment
WHERE action_id IN (SELECT unnest($action_ids))
ORDER BY ozone_event_id;
