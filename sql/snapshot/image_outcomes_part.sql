-- The rows of image_outcomes with these numbers, of images with a hash.
FROM warehouse.image_outcomes
SELECT *
WHERE
    outcome_number BETWEEN $first_number AND $last_number
    AND outcome = 'hashed';
