-- How many images were fetched and hashed since $since, from where, and how large are they by the
-- word of the posts since the hour $hour? The bytes that were really fetched are not recorded.
WITH fetched AS (
    FROM image_hashes
    SELECT DISTINCT
        blob_cid,
        source
    WHERE hashed_at >= $since
),

claimed AS (
    FROM image_post_files
    SEMI JOIN fetched USING (blob_cid)
    SELECT
        blob_cid,
        max(size_bytes) AS size_bytes
    WHERE hour >= $hour
    GROUP BY blob_cid
)

FROM fetched
LEFT JOIN claimed USING (blob_cid)
SELECT
    source,
    count(*) AS images,
    count(size_bytes) AS images_with_size,
    sum(size_bytes)::BIGINT AS claimed_bytes
GROUP BY source
ORDER BY
    images DESC,
    source;
