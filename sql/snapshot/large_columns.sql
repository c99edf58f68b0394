-- Which columns do the large tables have? Parts with others are made anew.
FROM duckdb_columns()
SELECT
    table_name,
    list([column_name, data_type] ORDER BY column_index)::VARCHAR AS columns
WHERE
    database_name = 'warehouse'
    AND table_name IN ('image_hashes', 'image_outcomes')
GROUP BY table_name;
