-- What image_outcomes and its columns hold, for those who ask questions.
COMMENT ON TABLE image_outcomes
    IS 'How each image ended, or until when it waits: a row per image that was tried.';
COMMENT ON COLUMN image_outcomes.blob_cid IS 'CID of the image.';
COMMENT ON COLUMN image_outcomes.outcome
    IS 'hashed; waiting; or why not, for good: not_found, corrupt, gave_up and so on.';
COMMENT ON COLUMN image_outcomes.reason IS 'Why it is not hashed; null if it is.';
COMMENT ON COLUMN image_outcomes.attempts
    IS 'How often the image was tried, with all authors together.';
COMMENT ON COLUMN image_outcomes.next_retry_at IS 'When an image that waits is tried again.';
COMMENT ON COLUMN image_outcomes.last_did IS 'Author that the image was last asked for with.';
COMMENT ON COLUMN image_outcomes.updated_at IS 'When it was last tried.';
COMMENT ON COLUMN image_outcomes.outcome_number
    IS 'Grows in the order of writing; a row that changes gets a new number.';
