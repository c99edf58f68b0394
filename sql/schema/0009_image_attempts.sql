-- What became of an image that has no hash yet, by the author it was asked for with: whoever posts
-- a foreign CID must not stand for those who have the image. One row per blob and author, the last
-- attempt; the rows of a blob go once it is hashed.
-- waits counts the waits in a row that ended without the image; next_retry_at ends the present one.
CREATE TABLE image_attempts (
    blob_cid VARCHAR NOT NULL,
    did VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    reason VARCHAR,
    waits INTEGER NOT NULL,
    next_retry_at TIMESTAMPTZ,
    tried_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (blob_cid, did)
);
