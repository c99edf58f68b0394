-- The perceptual hashes of every image, one row per blob and algorithm.
CREATE TABLE image_hashes (
    blob_cid VARCHAR NOT NULL,
    algorithm VARCHAR NOT NULL,
    hash UBIGINT NOT NULL,
    quality UTINYINT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    format VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    hasher_version VARCHAR NOT NULL,
    hashed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (blob_cid, algorithm)
);
