-- Keeps a rules version and puts it in force; a version that is known comes into force again.
MERGE INTO rule_versions
USING (
    SELECT
        $version AS version,
        $loaded_at AS loaded_at,
        $source AS source,
        $rules::JSON AS rules
) AS loaded
USING (version)
WHEN MATCHED THEN UPDATE SET
    loaded_at = loaded.loaded_at,
    source = loaded.source,
    rules = loaded.rules
WHEN NOT MATCHED THEN INSERT (version, loaded_at, source, rules)
VALUES (loaded.version, loaded.loaded_at, loaded.source, loaded.rules);
