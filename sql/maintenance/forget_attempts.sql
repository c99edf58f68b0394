-- Forgets what image_attempts tells of images that no post carries any more.
DELETE FROM image_attempts
WHERE blob_cid IN (FROM expired_images SELECT blob_cid);
