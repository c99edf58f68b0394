-- Adds what was found and rule_matches lacks; what is there keeps when it was first found.
INSERT INTO rule_matches BY NAME
FROM found_matches
ANTI JOIN rule_matches USING (blob_cid, rule_id, rule_hash, algorithm)
SELECT
    *,
    $version AS first_version,
    $matched_at AS matched_at;
