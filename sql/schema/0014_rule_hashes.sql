-- Besides the hashes to look for (kind `match`), a rule has hashes of images to leave alone (kind
-- `except`): an image nearer to one of these, or as near, does not match the rule.
-- Hashes wider than 64 bits: `hash` holds the most significant 64, hash_2 to hash_4 the rest.
ALTER TABLE rule_hashes ADD COLUMN kind VARCHAR DEFAULT 'match';
ALTER TABLE rule_hashes ADD COLUMN hash_2 UBIGINT;
ALTER TABLE rule_hashes ADD COLUMN hash_3 UBIGINT;
ALTER TABLE rule_hashes ADD COLUMN hash_4 UBIGINT;
