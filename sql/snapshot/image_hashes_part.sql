-- The rows of image_hashes with these numbers.
FROM warehouse.image_hashes
SELECT *
WHERE hash_number BETWEEN $first_number AND $last_number;
