-- Some of the images to forget, of those that were found before.
CREATE OR REPLACE TEMP TABLE expired_images AS
FROM listed_images
SELECT blob_cid;
