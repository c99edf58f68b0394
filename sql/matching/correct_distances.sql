-- Corrects the distances of images that were hashed anew since they were matched, whatever the
-- rules: an earlier version may come into force again.
UPDATE rule_matches
SET distance = corrected.distance
FROM (
    FROM image_hashes
    INNER JOIN rule_matches USING (blob_cid, algorithm)
    INNER JOIN (
        FROM rule_hashes
        SELECT DISTINCT
            rule_hash,
            algorithm,
            hash,
            hash_2,
            hash_3,
            hash_4
    ) AS known_hashes
        ON
            rule_matches.rule_hash = known_hashes.rule_hash
            AND rule_matches.algorithm = known_hashes.algorithm
    SELECT
        image_hashes.blob_cid,
        rule_matches.rule_hash,
        rule_matches.algorithm,
        bit_count(xor(image_hashes.hash, known_hashes.hash))::INTEGER
        + coalesce(bit_count(xor(image_hashes.hash_2, known_hashes.hash_2))::INTEGER, 0)
        + coalesce(bit_count(xor(image_hashes.hash_3, known_hashes.hash_3))::INTEGER, 0)
        + coalesce(bit_count(xor(image_hashes.hash_4, known_hashes.hash_4))::INTEGER, 0) AS distance
    WHERE image_hashes.hash_number BETWEEN $first_number AND $last_number
) AS corrected
WHERE
    rule_matches.blob_cid = corrected.blob_cid
    AND rule_matches.rule_hash = corrected.rule_hash
    AND rule_matches.algorithm = corrected.algorithm
    AND rule_matches.distance <> corrected.distance;
