-- What hash_clusters and its columns hold, for those who ask questions.
COMMENT ON VIEW hash_clusters
    IS 'Images with the same hash that several accounts posted on the same day.';
COMMENT ON COLUMN hash_clusters.day IS 'Day in UTC.';
COMMENT ON COLUMN hash_clusters.algorithm IS 'Hash algorithm.';
COMMENT ON COLUMN hash_clusters.hash IS 'The hash, in hexadecimal.';
COMMENT ON COLUMN hash_clusters.quality
    IS 'The least quality of these images: 0 (flat, the hash says nothing) to 100.';
COMMENT ON COLUMN hash_clusters.accounts IS 'How many accounts posted one of the images.';
COMMENT ON COLUMN hash_clusters.posts IS 'In how many posts.';
COMMENT ON COLUMN hash_clusters.images IS 'How many images, by CID.';
COMMENT ON COLUMN hash_clusters.example IS 'CID of one of them.';
