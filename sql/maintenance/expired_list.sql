-- Which images are still on the list?
FROM expired_images
SELECT blob_cid
ORDER BY blob_cid;
