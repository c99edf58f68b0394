-- What matched_hashes and its columns hold, for those who ask questions.
COMMENT ON TABLE matched_hashes
    IS 'Which image hashes, by their numbers, were matched with which rules version.';
COMMENT ON COLUMN matched_hashes.first_number IS 'First hash_number of the range.';
COMMENT ON COLUMN matched_hashes.last_number IS 'Last hash_number of the range.';
COMMENT ON COLUMN matched_hashes.version
    IS 'Rules version that these hashes were last matched with.';
COMMENT ON COLUMN matched_hashes.margin
    IS 'Bits beyond the thresholds up to which matches were kept.';
