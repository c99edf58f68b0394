-- What image_attempts and its columns hold, for those who ask questions.
COMMENT ON TABLE image_attempts
    IS 'Images without a hash, by the author asked for them: the last attempt with each.';
COMMENT ON COLUMN image_attempts.blob_cid IS 'CID of the image.';
COMMENT ON COLUMN image_attempts.did IS 'DID of the author the image was asked for with.';
COMMENT ON COLUMN image_attempts.outcome IS 'How that attempt ended; the words of image_outcomes.';
COMMENT ON COLUMN image_attempts.reason IS 'Why there is no hash.';
COMMENT ON COLUMN image_attempts.waits IS 'Waits in a row that ended without the image.';
COMMENT ON COLUMN image_attempts.next_retry_at
    IS 'When the present wait ends; null if it does not wait with this author.';
COMMENT ON COLUMN image_attempts.tried_at IS 'When it was tried.';
