-- Which hashes are stored by one algorithm of 64 bits?
FROM image_hashes
SELECT hash
WHERE algorithm = $algorithm;
