-- Which tables are copied whole? All but the two that grow with every image.
FROM duckdb_tables()
SELECT table_name
WHERE
    database_name = 'warehouse'
    AND table_name NOT IN ('image_hashes', 'image_outcomes')
ORDER BY table_name;
