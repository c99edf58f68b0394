-- Who posted this image, how often, and when first and last?
FROM read_parquet(
    getvariable('explain_files'), union_by_name = true, hive_partitioning = false
)
SELECT
    count(DISTINCT uri) AS posts,
    count(DISTINCT did) AS accounts,
    make_timestamptz(min(time_us)) AS first_seen,
    make_timestamptz(max(time_us)) AS last_seen,
    arg_min(uri, time_us) AS first_post,
    arg_max(uri, time_us) AS last_post
WHERE blob_cid = $blob_cid;
