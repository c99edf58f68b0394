-- How often was each rule hash right, by distance, as far as people said so?
-- Of labels and takedowns that Ozone has: those that a person or an undo took back were wrong;
-- the rest counts as right, also where nobody looked. What happened last counts: a label that was
-- taken back and then put again by a person was right. precision_low and precision_high bound
-- the true share with 95 % confidence (Wilson score interval).
WITH last_word AS (
    FROM action_outcomes
    SELECT
        action_id,
        arg_max(outcome, ozone_event_id) FILTER (outcome NOT LIKE 'appeal%') AS outcome,
        arg_max(by_kind, ozone_event_id) FILTER (outcome NOT LIKE 'appeal%') AS by_kind,
        max(ozone_event_id) FILTER (outcome NOT LIKE 'appeal%') AS said_in,
        min(ozone_event_id) FILTER (outcome = 'appealed') AS appealed_in
    WHERE by_kind <> 'schedule'
    GROUP BY action_id
),

judged AS (
    FROM moderation_actions
    LEFT JOIN last_word USING (action_id)
    SELECT
        rule_id,
        rule_hash,
        distance,
        sent_at,
        coalesce(outcome IN ('label_negated', 'takedown_reversed'), false) AS wrong,
        coalesce(wrong AND by_kind = 'people', false) AS reversed,
        appealed_in IS NOT NULL AS appealed,
        coalesce(reversed AND said_in > appealed_in, false) AS upheld
    WHERE
        state = 'sent'
        AND mode = 'live'
        AND event IN ('label', 'takedown')
        AND undoes IS NULL
),

counted AS (
    FROM judged
    SELECT
        rule_id,
        rule_hash,
        distance,
        count(*) AS actions,
        count(*) FILTER (reversed) AS reversed_by_people,
        count(*) FILTER (wrong AND NOT reversed) AS undone,
        count(*) FILTER (appealed) AS appealed,
        count(*) FILTER (upheld) AS appeals_upheld,
        1 - count(*) FILTER (wrong) / count(*) AS precision,
        min(sent_at) AS first_sent,
        max(sent_at) AS last_sent,
        1.959964 AS z
    GROUP BY
        rule_id,
        rule_hash,
        distance
)

FROM counted
SELECT
    rule_id,
    rule_hash,
    distance,
    actions,
    reversed_by_people,
    undone,
    appealed,
    appeals_upheld,
    precision,
    greatest(
        (
            precision
            + z * z / (2 * actions)
            - z * sqrt(precision * (1 - precision) / actions + z * z / (4 * actions * actions))
        )
        / (1 + z * z / actions),
        0
    ) AS precision_low,
    least(
        (
            precision
            + z * z / (2 * actions)
            + z * sqrt(precision * (1 - precision) / actions + z * z / (4 * actions * actions))
        )
        / (1 + z * z / actions),
        1
    ) AS precision_high,
    first_sent,
    last_sent;
