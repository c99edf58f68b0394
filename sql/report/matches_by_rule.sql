-- Which rules in force matched what since the hour $hour, within their thresholds?
-- Counts every match, also of rules that did not come first for the image.
WITH matched AS (
    FROM post_matches
    SELECT
        rule_id,
        count(DISTINCT blob_cid) AS images,
        count(DISTINCT uri) AS posts,
        count(DISTINCT did) AS accounts,
        min(distance) AS nearest,
        max(distance) AS farthest
    WHERE
        hour >= $hour
        AND within
        AND kind = 'match'
    GROUP BY rule_id
)

FROM rules_in_force
LEFT JOIN matched USING (rule_id)
SELECT
    rule_id,
    rules_in_force.mode,
    rules_in_force.hashes,
    rules_in_force.hashes_set_aside,
    coalesce(matched.images, 0) AS images,
    coalesce(matched.posts, 0) AS posts,
    coalesce(matched.accounts, 0) AS accounts,
    matched.nearest,
    matched.farthest
ORDER BY rules_in_force.rule_order;
