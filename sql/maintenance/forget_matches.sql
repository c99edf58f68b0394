-- Forgets what rule_matches tells of images that no post carries any more.
DELETE FROM rule_matches
WHERE blob_cid IN (FROM expired_images SELECT blob_cid);
