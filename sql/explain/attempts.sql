-- With which authors were these images asked for in vain, and what came of it?
FROM image_attempts
SELECT
    blob_cid,
    did,
    outcome,
    reason,
    next_retry_at,
    tried_at
WHERE blob_cid IN (SELECT unnest($blob_cids))
ORDER BY tried_at DESC;
