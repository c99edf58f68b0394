-- Brings `hashes_in_force` to a rules version. A hash that stays keeps its time, unless it now
-- reaches further or acts in another mode.
MERGE INTO hashes_in_force
USING (FROM rule_hashes SELECT * WHERE version = $version) AS loaded
USING (rule_id, rule_hash)
WHEN MATCHED
    AND (loaded.threshold > hashes_in_force.threshold OR loaded.mode <> hashes_in_force.mode)
    THEN UPDATE SET
        threshold = loaded.threshold,
        mode = loaded.mode,
        in_force_since = $loaded_at
WHEN MATCHED THEN UPDATE SET
    threshold = loaded.threshold
WHEN NOT MATCHED THEN INSERT (rule_id, rule_hash, threshold, mode, in_force_since)
VALUES (loaded.rule_id, loaded.rule_hash, loaded.threshold, loaded.mode, $loaded_at)
WHEN NOT MATCHED BY SOURCE THEN DELETE;
