-- Is every image of the attached hours accounted for?
-- Per hour: the images seen, how many of them ended in each outcome, wait for another attempt, or
-- were not tried yet. The parts add up to `seen`; `hashed` counts only what has a hash. An image
-- counts in each hour in which it was posted.
WITH posted AS (
    FROM image_posts
    SELECT DISTINCT
        date_trunc('hour', make_timestamptz(time_us)) AS hour,
        blob_cid
    WHERE blob_cid IS NOT NULL
),

-- Narrowed first: the images of some hours are few beside all those ever hashed.
with_hash AS MATERIALIZED (
    FROM image_hashes
    SELECT DISTINCT blob_cid
    WHERE blob_cid IN (FROM posted SELECT blob_cid)
)

FROM posted
LEFT JOIN image_outcomes USING (blob_cid)
SELECT
    hour,
    count(DISTINCT blob_cid) AS seen,
    count(*) FILTER (
        WHERE outcome = 'hashed' AND blob_cid IN (FROM with_hash SELECT blob_cid)
    ) AS hashed,
    count(*) FILTER (WHERE outcome = 'unsupported') AS unsupported,
    count(*) FILTER (WHERE outcome = 'too_large') AS too_large,
    count(*) FILTER (WHERE outcome = 'not_found') AS not_found,
    count(*) FILTER (WHERE outcome = 'corrupt') AS corrupt,
    count(*) FILTER (WHERE outcome = 'blocked') AS blocked,
    count(*) FILTER (WHERE outcome = 'cid_mismatch') AS cid_mismatch,
    count(*) FILTER (WHERE outcome = 'gave_up') AS gave_up,
    count(*) FILTER (WHERE outcome = 'waiting') AS waiting,
    count(*) FILTER (WHERE outcome IS NULL) AS untried
GROUP BY hour
ORDER BY hour;
