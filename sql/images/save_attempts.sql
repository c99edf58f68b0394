-- Records with which author each image of a batch was tried in vain, replacing what an earlier
-- attempt with that author told.
INSERT OR REPLACE INTO image_attempts BY NAME
FROM batch_results
WHERE outcome <> 'hashed';
