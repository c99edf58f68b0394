-- Puts the near images into the preview's own warehouse.
INSERT INTO image_hashes BY NAME
FROM near_images;
