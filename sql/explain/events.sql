-- What do these files tell of this record, and of the status of its author's account?
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
    -- First: on its own it is looked for in one column before the others are read.
    did = $did
    AND (uri = $uri OR operation LIKE 'account_%')
ORDER BY
    time_us,
    position;
