-- Which records of this collection have this key, be it of whichever account?
FROM read_parquet(
    getvariable('explain_files'), union_by_name = true, hive_partitioning = false
)
SELECT DISTINCT uri
WHERE
    rkey = $rkey
    AND collection = $collection
ORDER BY uri
LIMIT 20;
