-- Which of these posts were deleted, and which of these accounts are deleted, taken down, suspended
-- or deactivated, by the latest that the attached hours tell of them? Of the rows as they stand in
-- the files: that some stand there twice changes nothing, and folding millions takes long.
FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false)
SELECT
    uri AS subject,
    arg_max(operation, time_us) AS operation
WHERE uri IN (SELECT unnest($uris))
GROUP BY uri
HAVING arg_max(operation, time_us) = 'delete'

UNION ALL

FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false)
SELECT
    did AS subject,
    arg_max(operation, time_us) AS operation
WHERE did IN (SELECT unnest($dids)) AND operation LIKE 'account_%'
GROUP BY did
HAVING arg_max(operation, time_us) <> 'account_active';
