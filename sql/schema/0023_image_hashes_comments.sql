-- What image_hashes and its columns hold, for those who ask questions.
COMMENT ON TABLE image_hashes
    IS 'The perceptual hashes of images, one row per image and hash algorithm.';
COMMENT ON COLUMN image_hashes.blob_cid IS 'CID of the image.';
COMMENT ON COLUMN image_hashes.algorithm
    IS 'Hash algorithm: average, perceptual, difference, pdq and so on.';
COMMENT ON COLUMN image_hashes.hash
    IS 'The hash; of hashes wider than 64 bits the most significant 64.';
COMMENT ON COLUMN image_hashes.quality
    IS 'How much the hash says about the image: 0 (flat, nothing) to 100.';
COMMENT ON COLUMN image_hashes.width IS 'Width of the image that was hashed, in pixels.';
COMMENT ON COLUMN image_hashes.height IS 'Height of the image that was hashed, in pixels.';
COMMENT ON COLUMN image_hashes.format IS 'Format that the bytes were decoded as, e.g. JPEG.';
COMMENT ON COLUMN image_hashes.source IS 'Where the bytes came from: cdn or pds.';
COMMENT ON COLUMN image_hashes.hasher_version
    IS 'Version of the algorithm and of the library that decoded the image.';
COMMENT ON COLUMN image_hashes.hashed_at IS 'When the image was hashed.';
COMMENT ON COLUMN image_hashes.hash_2
    IS 'The next 64 bits of a wider hash; null if it is not that wide.';
COMMENT ON COLUMN image_hashes.hash_3
    IS 'The next 64 bits of a wider hash; null if it is not that wide.';
COMMENT ON COLUMN image_hashes.hash_4
    IS 'The last 64 bits of a hash of 256 bits; null if it is not that wide.';
COMMENT ON COLUMN image_hashes.rendition
    IS 'original, or what the CDN made of the image, e.g. feed_fullsize@jpeg.';
COMMENT ON COLUMN image_hashes.hash_number
    IS 'Grows in the order of writing; a hash that replaces another gets a new number.';
