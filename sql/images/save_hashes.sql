-- Keeps the hashes of a batch of images; a newer hash by the same algorithm replaces the old one.
INSERT OR REPLACE INTO image_hashes BY NAME
FROM batch_hashes;
