-- Every different row of the files to compact, in the order of time (the first column).
FROM read_parquet(
    getvariable('compaction_files'), union_by_name = true, hive_partitioning = false
)
SELECT DISTINCT *
ORDER BY ALL;
