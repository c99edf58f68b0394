-- Lets each distinct hash value stand for the images that have it, in the place of `image_hashes`.
CREATE OR REPLACE TEMP TABLE image_hashes AS
FROM image_hashes
SELECT *
WHERE false

UNION ALL BY NAME

FROM (FROM hash_values SELECT DISTINCT *) AS distinct_values
SELECT
    row_number() OVER ()::VARCHAR AS blob_cid,
    $algorithm AS algorithm,
    nextval('image_hash_numbers') AS hash_number,
    *;
