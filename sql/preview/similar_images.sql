-- Which images have a hash by one algorithm within $distance bits of the one in these words?
CREATE OR REPLACE TEMP TABLE similar_images AS
FROM image_hashes
SELECT
    blob_cid,
    concat_ws(' ', hash, hash_2, hash_3, hash_4) AS words,
    bit_count(xor(hash, ('0x' || $word_1)::UBIGINT))::INTEGER
    + coalesce(bit_count(xor(hash_2, ('0x' || $word_2)::UBIGINT))::INTEGER, 0)
    + coalesce(bit_count(xor(hash_3, ('0x' || $word_3)::UBIGINT))::INTEGER, 0)
    + coalesce(bit_count(xor(hash_4, ('0x' || $word_4)::UBIGINT))::INTEGER, 0) AS distance
WHERE
    algorithm = $algorithm
    AND distance <= $distance;
