-- Numbers the rows of image_hashes in the order in which they are written; a hash that replaces
-- another gets a new number. By it the matching knows which hashes it has not seen.
CREATE SEQUENCE image_hash_numbers;

ALTER TABLE image_hashes ADD COLUMN hash_number BIGINT DEFAULT nextval('image_hash_numbers');
