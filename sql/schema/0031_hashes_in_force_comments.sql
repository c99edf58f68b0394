-- What hashes_in_force and its columns hold, for those who ask questions.
COMMENT ON TABLE hashes_in_force
    IS 'The rule hashes in force: since when each acts as it does now.';
COMMENT ON COLUMN hashes_in_force.rule_id IS 'The rule that holds the hash.';
COMMENT ON COLUMN hashes_in_force.rule_hash IS 'The hash, in hexadecimal.';
COMMENT ON COLUMN hashes_in_force.threshold IS 'Largest Hamming distance that matches, in bits.';
COMMENT ON COLUMN hashes_in_force.mode IS 'live or shadow.';
COMMENT ON COLUMN hashes_in_force.in_force_since
    IS 'Since when it acts like that; posts from before belong to the lane backfill.';
COMMENT ON COLUMN hashes_in_force.set_aside
    IS 'Dangers for which it is never acted upon; null if it may act.';
