-- The image hashes with the numbers in question, by one algorithm.
CREATE OR REPLACE TEMP VIEW images_to_match AS
FROM image_hashes
SELECT *
WHERE
    algorithm = getvariable('match_algorithm')
    AND hash_number BETWEEN getvariable('match_from') AND getvariable('match_to');
