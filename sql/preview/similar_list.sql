-- The similar images.
FROM similar_images
SELECT *;
