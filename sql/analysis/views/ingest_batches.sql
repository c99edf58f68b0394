-- What did each batch read? A batch that was read again counts as it was read last.
FROM ingest_batch_files
SELECT
    day,
    * EXCLUDE (day)
QUALIFY row_number() OVER (PARTITION BY day, name ORDER BY ended_us DESC) = 1;
