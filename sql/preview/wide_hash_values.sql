-- Which hashes are stored by one algorithm of more than 64 bits?
FROM image_hashes
SELECT
    hash,
    hash_2,
    hash_3,
    hash_4
WHERE algorithm = $algorithm;
