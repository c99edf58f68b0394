-- The hashes of images, as of the snapshot: rows that were written later have larger numbers.
FROM read_parquet($files)
SELECT *
WHERE hash_number <= $last_number;
