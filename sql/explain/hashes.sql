-- Which hashes do these images have, and with which rules version were they compared last?
FROM image_hashes
LEFT JOIN matched_hashes
    ON image_hashes.hash_number BETWEEN matched_hashes.first_number AND matched_hashes.last_number
SELECT
    blob_cid,
    algorithm,
    format('{:016x}', hash)
    || coalesce(format('{:016x}', hash_2), '')
    || coalesce(format('{:016x}', hash_3), '')
    || coalesce(format('{:016x}', hash_4), '') AS hash,
    quality,
    hashed_at,
    hasher_version,
    matched_hashes.version AS matched_with,
    source,
    rendition,
    image_hashes.format AS format,
    width,
    height
WHERE blob_cid IN (SELECT unnest($blob_cids))
ORDER BY algorithm;
