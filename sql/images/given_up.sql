-- The images of the attached hours that were given up, the latest first: why, and after how many
-- attempts with whichever authors?
FROM (FROM image_posts SELECT DISTINCT blob_cid) AS posted
INNER JOIN image_outcomes USING (blob_cid)
SELECT
    blob_cid,
    last_did,
    attempts,
    updated_at,
    reason
WHERE outcome = 'gave_up'
ORDER BY
    updated_at DESC,
    blob_cid
LIMIT 10;
