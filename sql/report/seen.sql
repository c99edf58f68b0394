-- What did Jetstream bring in the attached hours?
FROM image_posts
SELECT
    count(DISTINCT uri) FILTER (blob_cid IS NOT NULL) AS posts_with_images,
    count(*) FILTER (blob_cid IS NOT NULL) AS images,
    count(DISTINCT blob_cid) AS distinct_images,
    count(DISTINCT did) FILTER (blob_cid IS NOT NULL) AS accounts,
    count(*) FILTER (operation = 'delete') AS deleted_posts,
    make_timestamptz(min(time_us)) AS first_event,
    make_timestamptz(max(time_us)) AS last_event;
