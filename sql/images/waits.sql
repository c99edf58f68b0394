-- Which of these images wait with which author, for how many times in a row, and until when?
FROM image_attempts
SELECT
    blob_cid,
    did,
    waits,
    next_retry_at
WHERE
    blob_cid IN (SELECT unnest($blob_cids))
    AND outcome = 'waiting';
