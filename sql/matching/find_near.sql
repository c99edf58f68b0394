-- Which images are within reach of which wanted hashes, of those near enough in one band? Exact.
-- The equality join finds the candidates, and only these are compared.
INSERT INTO near_pairs
WITH candidates AS (
    FROM images_to_match AS images
    INNER JOIN band_values AS wanted
        ON (
            (
                CASE $word
                    WHEN 1 THEN images.hash
                    WHEN 2 THEN images.hash_2
                    WHEN 3 THEN images.hash_3
                    ELSE images.hash_4
                END >> $shift
            ) & ((1::UBIGINT << $width) - 1)
        )::UINTEGER = wanted.band_value
    SELECT
        images.hash_number,
        wanted.hash_id,
        wanted.reach,
        bit_count(xor(images.hash, wanted.hash))::INTEGER
        + coalesce(bit_count(xor(images.hash_2, wanted.hash_2))::INTEGER, 0)
        + coalesce(bit_count(xor(images.hash_3, wanted.hash_3))::INTEGER, 0)
        + coalesce(bit_count(xor(images.hash_4, wanted.hash_4))::INTEGER, 0) AS distance
)

FROM candidates
SELECT
    hash_number,
    hash_id,
    distance
WHERE distance <= reach;
