-- Keeps the hashes of a batch of images; a newer hash by the same algorithm replaces the old one.
-- With a number of its own: by it the matching knows that it has not seen this hash.
INSERT OR REPLACE INTO image_hashes BY NAME
FROM batch_hashes
SELECT
    *,
    nextval('image_hash_numbers') AS hash_number;
