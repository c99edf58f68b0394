-- What did Jetstream bring since the hour $hour?
-- Read from the files as they are: what two of them hold counts once.
FROM image_post_files
SELECT
    count(DISTINCT uri) FILTER (blob_cid IS NOT NULL) AS posts_with_images,
    count(DISTINCT hash(uri, cid, blob_cid)) FILTER (blob_cid IS NOT NULL) AS images,
    count(DISTINCT blob_cid) AS distinct_images,
    count(DISTINCT did) FILTER (blob_cid IS NOT NULL) AS accounts,
    count(DISTINCT uri) FILTER (operation = 'delete') AS deleted_posts,
    make_timestamptz(min(time_us)) AS first_event,
    make_timestamptz(max(time_us)) AS last_event
WHERE hour >= $hour;
