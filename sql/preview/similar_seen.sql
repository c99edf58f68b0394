-- In how many posts, by how many accounts, and when were the similar images seen?
WITH seen AS (
    FROM read_parquet(getvariable('preview_files'), union_by_name = true, hive_partitioning = false)
    SEMI JOIN similar_images USING (blob_cid)
    SELECT
        blob_cid,
        count(DISTINCT uri) AS posts,
        count(DISTINCT did) AS accounts,
        make_timestamptz(min(time_us)) AS first_seen,
        make_timestamptz(max(time_us)) AS last_seen,
        arg_max(uri, (time_us, uri)) AS latest_post
    WHERE operation IN ('create', 'update')
    GROUP BY blob_cid
)

FROM similar_images
INNER JOIN seen USING (blob_cid)
SELECT
    blob_cid,
    words,
    distance,
    posts,
    accounts,
    first_seen,
    last_seen,
    latest_post
ORDER BY
    distance,
    last_seen DESC,
    blob_cid;
