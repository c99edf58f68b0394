-- Which images wait, why, and until when?
-- They are tried again by themselves; for over a day in vain, and they are given up.
FROM image_outcomes
SELECT
    reason,
    count(*) AS images,
    count(DISTINCT last_did) AS accounts,
    max(attempts) AS most_attempts,
    min(next_retry_at) AS next_retry_at,
    min(blob_cid) AS example
WHERE outcome = 'waiting'
GROUP BY reason
ORDER BY
    images DESC,
    reason;
