-- How many posts did the busiest rules match in each span of $span since the hour $hour?
-- Within the thresholds of the rules in force. Spans without a match have no row.
WITH matched AS (
    FROM post_matches
    SELECT DISTINCT
        rule_id,
        time_bucket($span::INTERVAL, timezone('UTC', seen_at)) AS start,
        uri
    WHERE
        hour >= $hour
        AND within
        AND kind = 'match'
),

busiest AS (
    FROM matched
    SELECT
        rule_id,
        count(*) AS posts
    GROUP BY rule_id
    ORDER BY
        posts DESC,
        rule_id
    LIMIT $most
)

FROM matched
SEMI JOIN busiest USING (rule_id)
SELECT
    rule_id,
    start,
    count(*) AS posts
GROUP BY ALL
ORDER BY
    rule_id,
    start;
