-- What the pairs in near_pairs mean: which image matches which rule by which hash. A rule that
-- holds a wanted hash at a smaller reach gets the pairs within its own.
CREATE OR REPLACE TEMP TABLE found_matches AS
FROM (FROM near_pairs SELECT DISTINCT *) AS near
INNER JOIN wanted_hashes USING (hash_id)
INNER JOIN missing_hashes
    ON
        wanted_hashes.rule_hash = missing_hashes.rule_hash
        AND missing_hashes.algorithm = $algorithm
        AND near.distance <= missing_hashes.reach
INNER JOIN image_hashes USING (hash_number)
SELECT
    image_hashes.blob_cid,
    missing_hashes.rule_id,
    missing_hashes.rule_hash,
    missing_hashes.algorithm,
    near.distance;
