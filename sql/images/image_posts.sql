-- The rows of the chosen hours, each image of a record once, each delete and account event once.
-- An event can come twice, after a fail-over or by an inclusive cursor, and then stands in
-- two files: an image folds on (AT URI, record CID, blob CID), another event also on its operation
-- and time. While compaction replaces files, every row may stand in two of them for a moment.
-- The latest counts: a record can be deleted, or changed, and then come back with the same CID.
CREATE OR REPLACE TEMP VIEW image_posts AS
FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false)
SELECT *
QUALIFY
    row_number() OVER (
        PARTITION BY
            uri,
            cid,
            blob_cid,
            CASE WHEN blob_cid IS NULL THEN operation END,
            CASE WHEN blob_cid IS NULL THEN time_us END
        ORDER BY
            time_us DESC,
            position
    ) = 1;
