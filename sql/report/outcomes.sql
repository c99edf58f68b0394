-- How did the images that were posted since the hour $hour end? Those without a row in
-- image_outcomes have not been tried yet.
FROM (
    FROM image_post_files
    SELECT DISTINCT blob_cid
    WHERE blob_cid IS NOT NULL AND hour >= $hour
) AS posted
LEFT JOIN image_outcomes USING (blob_cid)
SELECT
    coalesce(image_outcomes.outcome, 'untried') AS outcome,
    count(*) AS images
GROUP BY ALL
ORDER BY
    images DESC,
    outcome;
