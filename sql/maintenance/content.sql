-- What does a database consist of: tables and their columns, indexes, constraints, views, and
-- sequences with where they stand?
FROM duckdb_tables()
SELECT
    'table' AS kind,
    table_name AS content
WHERE database_name = $database AND NOT internal

UNION ALL

FROM duckdb_columns()
SELECT
    'column' AS kind,
    concat_ws(' ', table_name, column_name, data_type, column_default) AS content
WHERE database_name = $database AND NOT internal

UNION ALL

FROM duckdb_indexes()
SELECT
    'index' AS kind,
    concat_ws(' ', table_name, index_name, expressions) AS content
WHERE database_name = $database

UNION ALL

FROM duckdb_constraints()
SELECT
    'constraint' AS kind,
    concat_ws(' ', table_name, constraint_text) AS content
WHERE database_name = $database

UNION ALL

FROM duckdb_views()
SELECT
    'view' AS kind,
    concat_ws(' ', view_name, sql) AS content
WHERE database_name = $database AND NOT internal

UNION ALL

FROM duckdb_sequences()
SELECT
    'sequence' AS kind,
    concat_ws(' ', sequence_name, last_value) AS content
WHERE database_name = $database

ORDER BY ALL;
