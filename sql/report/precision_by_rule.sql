-- How often was each rule right, as far as people said so, over all that was ever sent?
-- reversed_lately counts what was taken back since $since.
WITH reversed AS (
    FROM action_outcomes
    INNER JOIN moderation_actions USING (action_id)
    SELECT
        rule_id,
        count(DISTINCT action_id) AS reversed_lately
    WHERE
        outcome IN ('label_negated', 'takedown_reversed')
        AND by_kind <> 'schedule'
        AND happened_at >= $since
    GROUP BY rule_id
)

FROM rule_precision
LEFT JOIN reversed USING (rule_id)
SELECT
    rule_id,
    sum(actions)::BIGINT AS actions,
    sum(reversed_by_people)::BIGINT AS reversed_by_people,
    sum(undone)::BIGINT AS undone,
    sum(appealed)::BIGINT AS appealed,
    1 - (sum(reversed_by_people) + sum(undone)) / sum(actions) AS precision,
    coalesce(any_value(reversed_lately), 0) AS reversed_lately
GROUP BY rule_id
ORDER BY
    precision,
    actions DESC,
    rule_id
LIMIT 50;
