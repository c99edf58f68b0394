-- Forgets what image_hashes tells of images that no post carries any more.
DELETE FROM image_hashes
WHERE blob_cid IN (FROM expired_images SELECT blob_cid);
