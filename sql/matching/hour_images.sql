-- The image hashes with the numbers in question, by one algorithm, in partition_images.
CREATE OR REPLACE TEMP VIEW images_to_match AS
FROM image_hashes
SEMI JOIN partition_images USING (blob_cid)
SELECT *
WHERE
    algorithm = getvariable('match_algorithm')
    AND hash_number BETWEEN getvariable('match_from') AND getvariable('match_to');
