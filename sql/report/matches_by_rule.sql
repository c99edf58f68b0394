-- Which rules in force matched what in the attached hours, within their thresholds?
-- Counts every match, also of rules that did not come first for the image.
WITH in_force AS (
    FROM rule_hashes
    SELECT *
    WHERE version = $version AND kind = 'match'
)

FROM in_force
LEFT JOIN rule_matches
    ON
        rule_matches.rule_id = in_force.rule_id
        AND rule_matches.rule_hash = in_force.rule_hash
        AND rule_matches.algorithm = in_force.algorithm
        AND rule_matches.distance <= in_force.threshold
LEFT JOIN image_posts ON image_posts.blob_cid = rule_matches.blob_cid
SELECT
    in_force.rule_id,
    count(DISTINCT in_force.rule_hash) AS hashes,
    count(DISTINCT image_posts.blob_cid) AS images,
    count(DISTINCT image_posts.uri) AS posts,
    count(DISTINCT image_posts.did) AS accounts,
    min(rule_matches.distance) FILTER (image_posts.uri IS NOT NULL) AS nearest,
    max(rule_matches.distance) FILTER (image_posts.uri IS NOT NULL) AS farthest
GROUP BY in_force.rule_id
ORDER BY min(in_force.rule_order);
