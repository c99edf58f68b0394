-- What unhashed_outcomes and its columns hold, for those who ask questions.
COMMENT ON TABLE unhashed_outcomes IS 'The rows of image_outcomes of images without a hash.';
COMMENT ON COLUMN unhashed_outcomes.blob_cid IS 'CID of the image.';
COMMENT ON COLUMN unhashed_outcomes.outcome
    IS 'hashed; waiting; or why not, for good: not_found, corrupt, gave_up and so on.';
COMMENT ON COLUMN unhashed_outcomes.reason IS 'Why it is not hashed; null if it is.';
COMMENT ON COLUMN unhashed_outcomes.attempts
    IS 'How often the image was tried, with all authors together.';
COMMENT ON COLUMN unhashed_outcomes.next_retry_at IS 'When an image that waits is tried again.';
COMMENT ON COLUMN unhashed_outcomes.last_did IS 'Author that the image was last asked for with.';
COMMENT ON COLUMN unhashed_outcomes.updated_at IS 'When it was last tried.';
COMMENT ON COLUMN unhashed_outcomes.outcome_number
    IS 'Grows in the order of writing; a row that changes gets a new number.';
