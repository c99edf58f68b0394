-- Which of these images have a hash by the algorithm already?
FROM image_hashes
SELECT blob_cid
WHERE
    blob_cid IN (SELECT unnest($blob_cids::VARCHAR[]))
    AND algorithm = $algorithm;
