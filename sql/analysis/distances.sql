-- How near are the posts that each rule matches?
-- Per rule and distance of a post's nearest image to the rule's nearest hash. Known copies gather
-- at small distances; a rise towards the threshold means that other images are let in.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 30 DAYS: beginning of the period
WITH nearest AS (
    FROM post_matches
    SELECT
        rule_id,
        uri,
        any_value(did) AS did,
        min(distance) AS distance,
        bool_or(within) AS within
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 30 DAYS)::TIMESTAMPTZ)
        AND kind = 'match'
    GROUP BY
        rule_id,
        uri
)

FROM nearest
SELECT
    rule_id,
    distance,
    within,
    count(*) AS posts,
    count(DISTINCT did) AS accounts
GROUP BY ALL
ORDER BY
    rule_id,
    distance;
