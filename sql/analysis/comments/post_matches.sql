-- What post_matches and its columns hold, for those who ask questions.
COMMENT ON VIEW post_matches
    IS 'Images of posts near rule hashes, up to MATCH_MARGIN bits beyond the threshold.';
COMMENT ON COLUMN post_matches.hour
    IS 'Hour in UTC, e.g. 2026-11-23-19. Filter by it first: no other hour is read then.';
COMMENT ON COLUMN post_matches.seen_at IS 'When the Jetstream host told of the post.';
COMMENT ON COLUMN post_matches.uri IS 'AT URI of the post.';
COMMENT ON COLUMN post_matches.cid IS 'CID of the post''s record.';
COMMENT ON COLUMN post_matches.did IS 'DID of the author.';
COMMENT ON COLUMN post_matches.blob_cid IS 'CID of the image.';
COMMENT ON COLUMN post_matches.position IS 'Place of the image in the post, from 0.';
COMMENT ON COLUMN post_matches.rule_id IS 'The rule.';
COMMENT ON COLUMN post_matches.rule_hash IS 'The hash of the rule, in hexadecimal.';
COMMENT ON COLUMN post_matches.algorithm IS 'Hash algorithm by which they were compared.';
COMMENT ON COLUMN post_matches.distance IS 'Hamming distance between image and rule hash, in bits.';
COMMENT ON COLUMN post_matches.threshold
    IS 'Largest distance that matches by the rules in force; null if this hash is not.';
COMMENT ON COLUMN post_matches.within IS 'Whether the distance is within the threshold.';
COMMENT ON COLUMN post_matches.kind
    IS 'match, or except: images as near to this hash are left alone. Null if not in force.';
COMMENT ON COLUMN post_matches.set_aside
    IS 'Dangers for which the hash is never acted upon; null if it may act.';
COMMENT ON COLUMN post_matches.after_rule
    IS 'Whether the post came after the rule hash was in force.';
