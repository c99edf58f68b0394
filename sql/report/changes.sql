-- How often did rules ever come into force, and how many backfills did something since $since?
SELECT
    (FROM rule_loads SELECT count(*)) AS loads,
    (
        FROM moderation_actions
        SELECT count(DISTINCT batch_id)
        WHERE
            lane = 'backfill'
            AND undoes IS NULL
            AND starts_with(batch_id, 'backfill-')
            AND planned_at >= $since
    ) AS backfills;
