-- The distinct images of the attached hours.
CREATE OR REPLACE TEMP TABLE partition_images AS
FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false)
SELECT DISTINCT blob_cid
WHERE blob_cid IS NOT NULL;
