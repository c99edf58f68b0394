-- What rule_hashes and its columns hold, for those who ask questions.
COMMENT ON TABLE rule_hashes IS 'The hashes of each rules version, in the order of the files.';
COMMENT ON COLUMN rule_hashes.version IS 'Rules version.';
COMMENT ON COLUMN rule_hashes.rule_id IS 'The rule that holds the hash.';
COMMENT ON COLUMN rule_hashes.rule_hash IS 'The hash as the rule file has it, in hexadecimal.';
COMMENT ON COLUMN rule_hashes.hash
    IS 'The same as a number; of hashes wider than 64 bits the most significant 64.';
COMMENT ON COLUMN rule_hashes.algorithm IS 'Hash algorithm that made it.';
COMMENT ON COLUMN rule_hashes.threshold IS 'Largest Hamming distance that matches, in bits.';
COMMENT ON COLUMN rule_hashes.rule_order
    IS 'Place of the rule, from 0; the first rule that matches an image wins.';
COMMENT ON COLUMN rule_hashes.hash_order IS 'Place of the hash in its rule, from 0.';
COMMENT ON COLUMN rule_hashes.mode IS 'live, or shadow: its actions are recorded and never sent.';
COMMENT ON COLUMN rule_hashes.set_aside
    IS 'Dangers for which it is matched and never acted upon; null if it may act.';
COMMENT ON COLUMN rule_hashes.kind
    IS 'match, or except: images as near to this one are left alone.';
COMMENT ON COLUMN rule_hashes.hash_2
    IS 'The next 64 bits of a wider hash; null if it is not that wide.';
COMMENT ON COLUMN rule_hashes.hash_3
    IS 'The next 64 bits of a wider hash; null if it is not that wide.';
COMMENT ON COLUMN rule_hashes.hash_4
    IS 'The last 64 bits of a hash of 256 bits; null if it is not that wide.';
