-- Which are the latest posts within the threshold of each rule, and does the rule decide them?
WITH by_post AS (
    FROM reached
    SELECT
        rule_id,
        uri,
        any_value(did) AS did,
        max(posted_at) AS latest,
        arg_min(rule_hash, (distance, rule_hash)) AS rule_hash,
        min(distance) AS distance
    WHERE within
    GROUP BY
        rule_id,
        uri
)

FROM by_post
SELECT
    rule_id,
    uri,
    did,
    latest,
    rule_hash,
    distance,
    EXISTS (
        FROM decided
        SELECT 1
        WHERE
            decided.rule_id = by_post.rule_id
            AND decided.uri = by_post.uri
    ) AS is_decided
QUALIFY row_number() OVER (PARTITION BY rule_id ORDER BY latest DESC, uri) <= $limit
ORDER BY
    rule_id,
    latest DESC,
    uri;
