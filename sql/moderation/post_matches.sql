-- Which images of the attached hours' posts are near which rule hashes?
-- A record that was updated counts as it stands now: images of its earlier versions are left out.
-- Rows are folded as in image_posts, but only those of records that count: a backfill looks at
-- millions of which few match.
WITH matched_records AS (
    FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false)
    SEMI JOIN rule_matches USING (blob_cid)
    SELECT DISTINCT uri
),

current_images AS (
    FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false) AS posted
    SEMI JOIN matched_records USING (uri)
    SELECT *
    WHERE operation IN ('create', 'update')
    QUALIFY
        cid IS NOT DISTINCT FROM arg_max(cid, time_us) OVER (PARTITION BY uri)
        AND row_number() OVER (
            PARTITION BY
                uri,
                cid,
                blob_cid
            ORDER BY
                time_us DESC,
                position
        ) = 1
),

algorithms AS (
    FROM rule_hashes
    SEMI JOIN version_in_force USING (version)
    SELECT DISTINCT
        rule_id,
        rule_hash,
        algorithm
)

FROM current_images
INNER JOIN rule_matches USING (blob_cid)
LEFT JOIN hashes_in_force USING (rule_id, rule_hash)
SEMI JOIN algorithms USING (rule_id, rule_hash, algorithm)
LEFT JOIN image_hashes
    ON
        image_hashes.blob_cid = current_images.blob_cid
        AND image_hashes.algorithm = rule_matches.algorithm
SELECT
    current_images.uri,
    current_images.cid,
    current_images.did,
    current_images.blob_cid,
    current_images.position,
    rule_matches.rule_id,
    rule_matches.rule_hash,
    rule_matches.distance,
    coalesce(
        make_timestamptz(current_images.time_us) >= hashes_in_force.in_force_since, false
    ) AS after_rule,
    coalesce(image_hashes.quality, 100) AS quality,
    make_timestamptz(current_images.time_us) AS posted_at
WHERE current_images.cid IS NOT NULL
ORDER BY
    current_images.time_us,
    current_images.uri,
    current_images.position,
    rule_matches.rule_id,
    rule_matches.rule_hash;
