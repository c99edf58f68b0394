-- Which parts of image_hashes are not as their files have them?
WITH parts_in_warehouse AS (
    FROM warehouse.image_hashes
    SELECT
        (hash_number - 1) // $rows_per_part AS part,
        count(*) AS rows,
        sum(hash_number) AS numbers,
        bit_xor(hash) AS hashes,
        sum(epoch_us(hashed_at)) AS times
    GROUP BY ALL
)

FROM (
    (FROM parts_in_warehouse EXCEPT FROM image_hashes_in_files)
    UNION ALL
    (FROM image_hashes_in_files EXCEPT FROM parts_in_warehouse)
)
SELECT DISTINCT part
ORDER BY part;
