-- What did the pipeline see each day, and how do the images stand by now?
-- Days in UTC. Images are counted by CID, so one that is posted often counts once a day.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 7 DAYS: beginning of the period
FROM image_posts
LEFT JOIN image_outcomes USING (blob_cid)
SELECT
    left(hour, 10)::DATE AS day,
    count(DISTINCT uri) FILTER (blob_cid IS NOT NULL) AS posts,
    count(DISTINCT did) FILTER (blob_cid IS NOT NULL) AS accounts,
    count(DISTINCT blob_cid) AS images,
    count(DISTINCT blob_cid) FILTER (outcome = 'hashed') AS hashed,
    count(DISTINCT blob_cid) FILTER (outcome = 'waiting') AS waiting,
    count(DISTINCT blob_cid) FILTER (outcome = 'gave_up') AS gave_up,
    count(DISTINCT blob_cid) FILTER (outcome NOT IN ('hashed', 'waiting', 'gave_up')) AS refused,
    count(DISTINCT blob_cid) FILTER (outcome IS NULL) AS untried,
    count(DISTINCT uri) FILTER (operation = 'delete') AS deleted_posts
WHERE hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ)
GROUP BY day
ORDER BY day DESC;
