-- Which batch is the last that the totals count?
FROM counted_batches
SELECT
    name,
    ended_us;
