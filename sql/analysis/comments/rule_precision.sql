-- What rule_precision and its columns hold, for those who ask questions.
COMMENT ON VIEW rule_precision
    IS 'How often each rule hash was right, by distance, as far as people said so.';
COMMENT ON COLUMN rule_precision.rule_id IS 'The rule.';
COMMENT ON COLUMN rule_precision.rule_hash IS 'The hash of the rule, in hexadecimal.';
COMMENT ON COLUMN rule_precision.distance IS 'Hamming distance of the image to it, in bits.';
COMMENT ON COLUMN rule_precision.actions IS 'Labels and takedowns that Ozone has.';
COMMENT ON COLUMN rule_precision.reversed_by_people IS 'How many of these people took back.';
COMMENT ON COLUMN rule_precision.undone IS 'How many of these an undo took back.';
COMMENT ON COLUMN rule_precision.appealed IS 'How many of these their authors appealed against.';
COMMENT ON COLUMN rule_precision.appeals_upheld
    IS 'How many of these people took back after an appeal.';
COMMENT ON COLUMN rule_precision.precision IS 'Share that was not taken back.';
COMMENT ON COLUMN rule_precision.precision_low
    IS 'Lower bound of the true share, with 95 % confidence.';
COMMENT ON COLUMN rule_precision.precision_high
    IS 'Upper bound of the true share, with 95 % confidence.';
COMMENT ON COLUMN rule_precision.first_sent IS 'When the first of these was sent.';
COMMENT ON COLUMN rule_precision.last_sent IS 'When the last of these was sent.';
