-- Why a rule hash is matched and never acted upon: the dangers in it, by name. Null: it may act.
ALTER TABLE rule_hashes ADD COLUMN set_aside VARCHAR;
ALTER TABLE hashes_in_force ADD COLUMN set_aside VARCHAR;
