-- How many images are in partition_images?
FROM partition_images
SELECT count(*);
