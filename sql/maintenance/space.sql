-- How many bytes does the database file take, and how many of them are free for reuse?
FROM pragma_database_size()
SELECT
    total_blocks * block_size AS total_bytes,
    free_blocks * block_size AS free_bytes
WHERE database_name = current_database();
