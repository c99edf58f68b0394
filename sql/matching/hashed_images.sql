-- How many images in partition_images have a hash?
FROM partition_images
SEMI JOIN image_hashes USING (blob_cid)
SELECT count(*);
