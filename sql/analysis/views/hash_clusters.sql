-- Which images with the same hash did several accounts post on the same day?
-- Copies of an image that were saved, resized or compressed anew differ in their CIDs and mostly
-- not in their hash.
WITH posted AS (
    FROM image_post_files
    SELECT DISTINCT
        left(hour, 10)::DATE AS day,
        blob_cid,
        uri,
        did
    WHERE operation IN ('create', 'update')
),

clusters AS (
    FROM posted
    INNER JOIN image_hashes USING (blob_cid)
    SELECT
        posted.day,
        image_hashes.algorithm,
        image_hashes.hash,
        image_hashes.hash_2,
        image_hashes.hash_3,
        image_hashes.hash_4,
        min(image_hashes.quality) AS quality,
        count(DISTINCT posted.did) AS accounts,
        count(DISTINCT posted.uri) AS posts,
        count(DISTINCT posted.blob_cid) AS images,
        min(posted.blob_cid) AS example
    GROUP BY ALL
    HAVING count(DISTINCT posted.did) > 1
)

FROM clusters
SELECT
    day,
    algorithm,
    hash_text(hash, hash_2, hash_3, hash_4) AS hash,
    quality,
    accounts,
    posts,
    images,
    example;
