-- Which CID has each of these records by the latest that the attached hours tell of it? Of the rows
-- as they stand in the files: that some stand there twice changes nothing.
FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false)
SELECT
    uri,
    arg_max(cid, time_us) AS cid
WHERE
    uri IN (SELECT unnest($uris))
    AND operation IN ('create', 'update')
    AND cid IS NOT NULL
GROUP BY uri;
