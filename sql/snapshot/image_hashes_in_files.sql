-- How many rows do the files of each part of image_hashes hold, and what do these add up to?
CREATE OR REPLACE TEMP TABLE image_hashes_in_files AS
FROM read_parquet($files)
SELECT
    (hash_number - 1) // $rows_per_part AS part,
    count(*) AS rows,
    sum(hash_number) AS numbers,
    bit_xor(hash) AS hashes,
    sum(epoch_us(hashed_at)) AS times
GROUP BY ALL;
