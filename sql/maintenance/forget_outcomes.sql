-- Forgets what image_outcomes tells of images that no post carries any more.
DELETE FROM image_outcomes
WHERE blob_cid IN (FROM expired_images SELECT blob_cid);
