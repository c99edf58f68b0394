-- Brings `hashes_in_force` to a rules version. A hash that stays keeps its time, unless it now
-- reaches further, acts in another mode, or was set aside before; or unless that time lies in the
-- future, since a clock was wrong.
MERGE INTO hashes_in_force
USING (FROM rule_hashes SELECT * WHERE version = $version AND kind = 'match') AS loaded
USING (rule_id, rule_hash)
WHEN MATCHED
    AND (
        loaded.threshold > hashes_in_force.threshold
        OR loaded.mode <> hashes_in_force.mode
        OR (hashes_in_force.set_aside IS NOT NULL AND loaded.set_aside IS NULL)
        OR hashes_in_force.in_force_since > $loaded_at
    )
    THEN UPDATE SET
        threshold = loaded.threshold,
        mode = loaded.mode,
        set_aside = loaded.set_aside,
        in_force_since = $loaded_at
WHEN MATCHED THEN UPDATE SET
    threshold = loaded.threshold,
    set_aside = loaded.set_aside
WHEN NOT MATCHED THEN INSERT (rule_id, rule_hash, threshold, mode, set_aside, in_force_since)
VALUES (
    loaded.rule_id,
    loaded.rule_hash,
    loaded.threshold,
    loaded.mode,
    loaded.set_aside,
    $loaded_at
)
WHEN NOT MATCHED BY SOURCE THEN DELETE;
