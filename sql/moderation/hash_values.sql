-- What are the hashes of these images, by algorithm? As 64-bit words, most significant first.
FROM image_hashes
SELECT
    blob_cid,
    algorithm,
    [word FOR word IN [hash, hash_2, hash_3, hash_4] IF word IS NOT NULL] AS words
WHERE blob_cid IN (SELECT unnest($blob_cids::VARCHAR[]));
