-- Corrects distances of images in partition_images that were hashed anew since they were matched.
UPDATE rule_matches
SET distance = corrected.distance
FROM (
    FROM rule_matches
    SEMI JOIN partition_images USING (blob_cid)
    INNER JOIN image_hashes USING (blob_cid)
    INNER JOIN rule_hashes USING (rule_id, rule_hash)
    SELECT
        blob_cid,
        rule_id,
        rule_hash,
        bit_count(xor(image_hashes.hash, rule_hashes.hash))::INTEGER AS distance
    WHERE
        rule_hashes.version = $version
        AND rule_hashes.algorithm = $algorithm
        AND image_hashes.algorithm = $algorithm
        AND rule_matches.distance <> bit_count(xor(image_hashes.hash, rule_hashes.hash))
) AS corrected
WHERE
    rule_matches.blob_cid = corrected.blob_cid
    AND rule_matches.rule_id = corrected.rule_id
    AND rule_matches.rule_hash = corrected.rule_hash;
