-- What is the largest number of an image hash?
FROM image_hashes
SELECT coalesce(max(hash_number), 0);
