-- The distinct images of the attached hours.
CREATE OR REPLACE TEMP TABLE partition_images AS
FROM image_posts
SELECT DISTINCT blob_cid
WHERE blob_cid IS NOT NULL;
