-- What rule_matches and its columns hold, for those who ask questions.
COMMENT ON TABLE rule_matches
    IS 'Images near a rule hash, up to MATCH_MARGIN bits beyond the threshold.';
COMMENT ON COLUMN rule_matches.blob_cid IS 'CID of the image.';
COMMENT ON COLUMN rule_matches.rule_id IS 'The rule.';
COMMENT ON COLUMN rule_matches.rule_hash IS 'The hash of the rule, in hexadecimal.';
COMMENT ON COLUMN rule_matches.algorithm IS 'Hash algorithm by which they were compared.';
COMMENT ON COLUMN rule_matches.distance IS 'Hamming distance between image and rule hash, in bits.';
COMMENT ON COLUMN rule_matches.first_version
    IS 'Rules version that the match was first found with.';
COMMENT ON COLUMN rule_matches.matched_at IS 'When it was first found.';
