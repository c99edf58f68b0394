-- Does the compacted file hold exactly the rows of its sources? Rows missing from it, rows that
-- only it has, and rows it has more than once; all three must be zero.
WITH
before AS (
    FROM read_parquet(
        getvariable('compaction_files'), union_by_name = true, hive_partitioning = false
    )
    SELECT DISTINCT *
),

after AS (
    FROM read_parquet(getvariable('compacted_file'), hive_partitioning = false)
)

SELECT
    (SELECT count(*) FROM (FROM before EXCEPT FROM after)) AS missing,
    (SELECT count(*) FROM (FROM after EXCEPT FROM before)) AS added,
    (SELECT count(*) FROM after)
    - (SELECT count(*) FROM (FROM after SELECT DISTINCT *)) AS repeated;
