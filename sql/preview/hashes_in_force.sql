-- Since when does each rule hash in force act as it does?
FROM hashes_in_force
SELECT rule_id, rule_hash, threshold, mode, set_aside, in_force_since;
