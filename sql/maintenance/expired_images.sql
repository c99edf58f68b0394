-- The distinct images of the expired files.
CREATE OR REPLACE TEMP TABLE expired_images AS
FROM read_parquet(
    getvariable('expired_files'), union_by_name = true, hive_partitioning = false
)
SELECT DISTINCT blob_cid
WHERE blob_cid IS NOT NULL;
