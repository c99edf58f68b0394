-- Which parts of image_outcomes are not as their files have them? Of images with a hash only.
WITH parts_in_warehouse AS (
    FROM warehouse.image_outcomes
    SELECT
        (outcome_number - 1) // $rows_per_part AS part,
        count(*) AS rows,
        sum(outcome_number) AS numbers,
        sum(attempts) AS attempts,
        sum(epoch_us(updated_at)) AS times
    WHERE outcome = 'hashed'
    GROUP BY ALL
)

FROM (
    (FROM parts_in_warehouse EXCEPT FROM image_outcomes_in_files)
    UNION ALL
    (FROM image_outcomes_in_files EXCEPT FROM parts_in_warehouse)
)
SELECT DISTINCT part
ORDER BY part;
