-- Which images of posts are near which rule hashes, and is that within the rule's threshold?
-- One row per image of a post, as the post was then, and rule hash. Matches are kept up to
-- MATCH_MARGIN bits beyond the threshold; those of rules no longer in force have no threshold.
WITH matched AS (
    FROM image_post_files
    SEMI JOIN rule_matches USING (blob_cid)
    SELECT *
    WHERE operation IN ('create', 'update')
    QUALIFY
        row_number() OVER (
            PARTITION BY
                hour,
                uri,
                cid,
                blob_cid
            ORDER BY
                time_us DESC,
                position
        ) = 1
),

in_force AS (
    FROM rule_hashes
    SEMI JOIN version_in_force USING (version)
    SELECT *
)

FROM matched
INNER JOIN rule_matches USING (blob_cid)
LEFT JOIN in_force
    ON
        in_force.rule_id = rule_matches.rule_id
        AND in_force.rule_hash = rule_matches.rule_hash
        AND in_force.algorithm = rule_matches.algorithm
LEFT JOIN hashes_in_force
    ON
        hashes_in_force.rule_id = rule_matches.rule_id
        AND hashes_in_force.rule_hash = rule_matches.rule_hash
SELECT
    matched.hour,
    make_timestamptz(matched.time_us) AS seen_at,
    matched.uri,
    matched.cid,
    matched.did,
    matched.blob_cid,
    matched.position,
    rule_matches.rule_id,
    rule_matches.rule_hash,
    rule_matches.algorithm,
    rule_matches.distance,
    in_force.threshold,
    coalesce(rule_matches.distance <= in_force.threshold, false) AS within,
    in_force.kind,
    in_force.set_aside,
    coalesce(
        make_timestamptz(matched.time_us) >= hashes_in_force.in_force_since, false
    ) AS after_rule;
