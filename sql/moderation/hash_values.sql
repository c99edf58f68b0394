-- What are the hashes of these images, by algorithm?
-- As 64-bit words, most significant first; nulls end them.
FROM image_hashes
SELECT
    blob_cid,
    algorithm,
    [hash, hash_2, hash_3, hash_4] AS words
WHERE blob_cid IN (SELECT unnest($blob_cids::VARCHAR[]));
