-- Which images are within reach of wanted hashes that reach $compared_from bits or more? Where
-- there are few such hashes or few images, or so many near bands that most images have one,
-- comparing all pairs costs less than the bands.
INSERT INTO near_pairs
WITH pairs AS (
    FROM images_to_match AS images
    CROSS JOIN (FROM wanted_hashes SELECT * WHERE reach >= $compared_from) AS wanted
    SELECT
        images.hash_number,
        wanted.hash_id,
        wanted.reach,
        bit_count(xor(images.hash, wanted.hash))::INTEGER
        + coalesce(bit_count(xor(images.hash_2, wanted.hash_2))::INTEGER, 0)
        + coalesce(bit_count(xor(images.hash_3, wanted.hash_3))::INTEGER, 0)
        + coalesce(bit_count(xor(images.hash_4, wanted.hash_4))::INTEGER, 0) AS distance
)

FROM pairs
SELECT
    hash_number,
    hash_id,
    distance
WHERE distance <= reach;
