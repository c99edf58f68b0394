-- In which of the attached hours are images that nobody has hashed and whose next attempt was due
-- by $due_by or, with $untried, that an author of theirs was never asked for?
-- Hours by the time of the event, which is where its file is unless a host's clock was wrong.
FROM read_parquet(getvariable('image_posts_files'), hive_partitioning = false) AS posted
LEFT JOIN image_attempts USING (blob_cid, did)
LEFT JOIN image_outcomes USING (blob_cid)
SELECT
    strftime(date_trunc('hour', make_timestamp(posted.time_us)), '%Y-%m-%d-%H:%M') AS partition_key,
    count(DISTINCT posted.blob_cid) AS images
WHERE
    posted.blob_cid IS NOT NULL
    AND image_outcomes.outcome IS DISTINCT FROM 'hashed'
    AND (
        ($untried AND image_attempts.tried_at IS NULL)
        OR image_attempts.next_retry_at <= $due_by
    )
GROUP BY ALL
ORDER BY ALL;
