-- Which of the batches ended last, and when?
FROM ingest_batches
SELECT
    name,
    ended_us
ORDER BY ended_us DESC
LIMIT 1;
