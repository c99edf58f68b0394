-- Forgets who was asked in vain for the images of a batch that are hashed now.
DELETE FROM image_attempts
WHERE blob_cid IN (FROM batch_results SELECT blob_cid WHERE outcome = 'hashed');
