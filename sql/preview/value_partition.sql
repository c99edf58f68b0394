-- All the values as the images of one partition, for the matching.
CREATE OR REPLACE TEMP VIEW partition_images AS
FROM image_hashes
SELECT blob_cid;
