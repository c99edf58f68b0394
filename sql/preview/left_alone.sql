-- How many posts within the threshold are by accounts that the rule ignores, and how many have only
-- images there whose hash says too little to act upon?
WITH by_post AS (
    FROM reached
    SELECT
        rule_id,
        uri,
        any_value(ignored) AS ignored,
        bool_and(plain) AS plain
    WHERE within
    GROUP BY
        rule_id,
        uri
)

FROM by_post
SELECT
    rule_id,
    count(*) FILTER (ignored) AS ignored_posts,
    count(*) FILTER (plain) AS plain_posts
GROUP BY rule_id;
