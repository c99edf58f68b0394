-- Which images in partition_images are within reach of which rule hashes in rule_bands? Exact.
-- The equality join on the bands finds the candidates, and only these are compared. A pair that
-- agrees in several bands is found several times, hence DISTINCT.
CREATE OR REPLACE TEMP TABLE found_matches AS
WITH image_bands AS (
    FROM image_hashes
    SEMI JOIN partition_images USING (blob_cid)
    SELECT
        blob_cid,
        hash,
        unnest([
            (hash & 65535)::INTEGER,
            (1 << 16) + ((hash >> 16) & 65535)::INTEGER,
            (2 << 16) + ((hash >> 32) & 65535)::INTEGER,
            (3 << 16) + (hash >> 48)::INTEGER
        ]) AS band_value
    WHERE algorithm = $algorithm
)

FROM image_bands
INNER JOIN rule_bands
    ON
        image_bands.band_value = rule_bands.band_value
        AND bit_count(xor(image_bands.hash, rule_bands.hash)) <= rule_bands.reach
SELECT DISTINCT
    blob_cid,
    rule_id,
    rule_hash,
    bit_count(xor(image_bands.hash, rule_bands.hash))::INTEGER AS distance;
