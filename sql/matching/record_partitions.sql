-- Notes that these partitions are matched with a rules version.
MERGE INTO partition_matches
USING (
    SELECT
        unnest($partition_keys::VARCHAR[]) AS partition_key,
        $version AS version,
        $matched_at AS matched_at
) AS matched
USING (partition_key)
WHEN MATCHED THEN UPDATE SET
    version = matched.version,
    matched_at = matched.matched_at
WHEN NOT MATCHED THEN INSERT (partition_key, version, matched_at)
VALUES (matched.partition_key, matched.version, matched.matched_at);
