-- Which images in partition_images are within reach of rule hashes that reach $exhaustive_from bits
-- or more? Such a hash has so many near bands that comparing it with every image costs less.
INSERT INTO found_matches
FROM image_hashes
SEMI JOIN partition_images USING (blob_cid)
INNER JOIN rule_hashes
    ON bit_count(xor(image_hashes.hash, rule_hashes.hash)) <= rule_hashes.threshold + $margin
SELECT
    blob_cid,
    rule_id,
    rule_hash,
    bit_count(xor(image_hashes.hash, rule_hashes.hash))::INTEGER AS distance
WHERE
    image_hashes.algorithm = $algorithm
    AND rule_hashes.algorithm = $algorithm
    AND rule_hashes.version = $version
    AND rule_hashes.threshold + $margin >= $exhaustive_from;
