-- The records of the chosen batches, each batch once.
-- A batch that was read again stands in two files until compaction has removed one, as does one
-- that compaction has just copied: the reading that ended last counts.
-- A table, unlike image_posts: small, and then compaction may remove the files while it is used.
CREATE OR REPLACE TEMP TABLE ingest_batches AS
FROM read_parquet(getvariable('ingest_files'), hive_partitioning = false)
SELECT
    make_timestamp(ended_us)::DATE AS day,
    *
WHERE ended_us >= getvariable('ingest_since_us')
QUALIFY row_number() OVER (PARTITION BY name ORDER BY ended_us DESC) = 1;
