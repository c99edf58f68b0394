-- Which records have this CID themselves?
FROM read_parquet(
    getvariable('explain_files'), union_by_name = true, hive_partitioning = false
)
SELECT DISTINCT uri
WHERE
    cid = $cid
    AND operation IN ('create', 'update')
ORDER BY uri
LIMIT 20;
