-- How many actions were planned in each span of $span since $since, by the rules with most of them?
-- In whatever state. What takes another action back is not counted. Spans without one have no row.
WITH planned AS (
    FROM moderation_actions
    SELECT
        rule_id,
        time_bucket($span::INTERVAL, timezone('UTC', planned_at)) AS start
    WHERE
        planned_at >= $since
        AND undoes IS NULL
),

busiest AS (
    FROM planned
    SELECT
        rule_id,
        count(*) AS actions
    GROUP BY rule_id
    ORDER BY
        actions DESC,
        rule_id
    LIMIT $most
)

FROM planned
SEMI JOIN busiest USING (rule_id)
SELECT
    rule_id,
    start,
    count(*) AS actions
GROUP BY ALL
ORDER BY
    rule_id,
    start;
