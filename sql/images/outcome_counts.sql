-- How did the images of the attached hours end? Images without a row have not been tried yet.
FROM (FROM image_posts SELECT DISTINCT blob_cid WHERE blob_cid IS NOT NULL) AS posted
LEFT JOIN image_outcomes USING (blob_cid)
SELECT
    coalesce(image_outcomes.outcome, 'untried') AS outcome,
    count(*) AS images
GROUP BY ALL
ORDER BY images DESC, outcome;
