-- How many rows do the files of each part of image_outcomes hold, and what do these add up to?
CREATE OR REPLACE TEMP TABLE image_outcomes_in_files AS
FROM read_parquet($files)
SELECT
    (outcome_number - 1) // $rows_per_part AS part,
    count(*) AS rows,
    sum(outcome_number) AS numbers,
    sum(attempts) AS attempts,
    sum(epoch_us(updated_at)) AS times
GROUP BY ALL;
