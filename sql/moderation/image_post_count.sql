-- How many image posts do the attached hours hold? A row that two files hold counts twice.
FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false)
SELECT count(blob_cid) AS images;
