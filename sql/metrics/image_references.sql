-- How many images do the records of each attached hour name, an image of two records twice?
FROM image_posts
SELECT
    strftime(make_timestamp(time_us), '%Y-%m-%d-%H:00') AS partition_key,
    count(*) AS image_references
WHERE blob_cid IS NOT NULL
GROUP BY ALL;
