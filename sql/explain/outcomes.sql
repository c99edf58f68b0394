-- How did these images end?
FROM image_outcomes
SELECT
    blob_cid,
    outcome,
    reason,
    attempts,
    next_retry_at,
    updated_at
WHERE blob_cid IN (SELECT unnest($blob_cids));
