-- Until when do these files tell?
FROM read_parquet(
    getvariable('explain_files'), union_by_name = true, hive_partitioning = false
)
SELECT make_timestamptz(max(time_us));
