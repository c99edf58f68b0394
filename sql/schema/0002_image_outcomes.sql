-- How each image ended: hashed, or why not, or waiting and until when.
-- While an image has no hash, its row tells of one of its image_attempts: of the one that waits
-- and is due first or, if none waits, of the last. last_did is the author of that attempt,
-- attempts counts those with all authors, updated_at is the time of the last one.
CREATE TABLE image_outcomes (
    blob_cid VARCHAR PRIMARY KEY,
    outcome VARCHAR NOT NULL,
    reason VARCHAR,
    attempts INTEGER NOT NULL,
    next_retry_at TIMESTAMPTZ,
    last_did VARCHAR NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
