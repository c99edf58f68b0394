-- The rows of the chosen hours, each image of a record once.
-- An event can come twice, after a fail-over or by an inclusive cursor, and then stands in
-- two files: it folds on (AT URI, record CID, blob CID). Deletes and account events stay as is.
-- The latest counts: a record can be deleted, or changed, and then come back with the same CID.
CREATE OR REPLACE TEMP VIEW image_posts AS
FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false)
SELECT *
QUALIFY
    blob_cid IS NULL
    OR row_number() OVER (PARTITION BY uri, cid, blob_cid ORDER BY time_us DESC, position) = 1;
