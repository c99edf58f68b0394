-- In which of these files is one of these posts?
FROM read_parquet(
    getvariable('due_files'), union_by_name = true, hive_partitioning = false, filename = true
)
SELECT DISTINCT filename
WHERE uri IN (SELECT unnest($uris::VARCHAR[]));
