-- Which posts of these files have one of the near images, and who wrote them?
CREATE OR REPLACE TEMP TABLE wanted_posts AS
FROM read_parquet(getvariable('preview_files'), union_by_name = true, hive_partitioning = false)
SEMI JOIN near_images USING (blob_cid)
SELECT DISTINCT
    uri,
    did;
