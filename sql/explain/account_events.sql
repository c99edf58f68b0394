-- What do these files tell of the status of this account?
FROM read_parquet(
    getvariable('explain_files'),
    union_by_name = true,
    hive_partitioning = false,
    filename = true
)
SELECT
    make_timestamptz(time_us) AS time,
    host,
    uri,
    cid,
    operation,
    created_at,
    blob_cid,
    mime_type,
    size_bytes,
    position,
    embed_type,
    filename
WHERE
    did = $did
    AND operation LIKE 'account_%'
ORDER BY time_us;
