-- How many rows of these files name an image?
FROM read_parquet(getvariable('preview_files'), union_by_name = true, hive_partitioning = false)
SELECT count(*)
WHERE blob_cid IS NOT NULL;
