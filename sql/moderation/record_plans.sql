-- Notes that the actions of these hours are planned with a rules version.
MERGE INTO partition_plans
USING (
    SELECT
        unnest($partition_keys::VARCHAR[]) AS partition_key,
        $version AS version,
        $planned_at AS planned_at
) AS planned
USING (partition_key)
WHEN MATCHED THEN UPDATE SET
    version = planned.version,
    planned_at = planned.planned_at
WHEN NOT MATCHED THEN INSERT (partition_key, version, planned_at)
VALUES (planned.partition_key, planned.version, planned.planned_at);
