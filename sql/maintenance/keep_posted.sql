-- Takes the images off the list that a post in one of the remaining files still carries.
DELETE FROM expired_images
WHERE blob_cid IN (
    FROM read_parquet(
        getvariable('remaining_files'), union_by_name = true, hive_partitioning = false
    )
    SELECT blob_cid
    WHERE blob_cid IN (FROM expired_images SELECT blob_cid)
);
