-- What do these hours tell of these accounts? Rows that were told of twice come twice.
FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false)
SELECT *
WHERE did IN (SELECT unnest($dids));
