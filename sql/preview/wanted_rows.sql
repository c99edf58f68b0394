-- What do these files tell of the wanted posts, and of the state of their authors' accounts? With
-- the name of the hour's folder, so that each row can be kept in its hour.
WITH files AS (
    FROM read_parquet(
        getvariable('preview_files'),
        union_by_name = true,
        hive_partitioning = true,
        hive_types_autocast = false
    )
    SELECT *
)

FROM files
SEMI JOIN wanted_posts USING (uri)
SELECT *

UNION ALL BY NAME

FROM files
SEMI JOIN wanted_posts USING (did)
SELECT *
WHERE operation LIKE 'account_%';
