-- Which images did this account post, and when?
FROM read_parquet(
    getvariable('explain_files'), union_by_name = true, hive_partitioning = false
)
SELECT
    uri,
    blob_cid,
    make_timestamptz(min(time_us)) AS time
WHERE
    did = $did
    AND blob_cid IS NOT NULL
GROUP BY
    uri,
    blob_cid
ORDER BY time DESC;
