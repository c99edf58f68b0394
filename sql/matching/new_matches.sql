-- What was found and rule_matches lacks.
CREATE OR REPLACE TEMP TABLE new_matches AS
FROM found_matches
ANTI JOIN rule_matches USING (blob_cid, rule_id, rule_hash, algorithm);
