-- Is every image accounted for? Per hour the images seen, and how they stand by now; the parts add
-- up to `seen`. An image counts in each hour in which it was posted.
WITH posted AS (
    FROM image_post_files
    SELECT DISTINCT
        hour,
        blob_cid
    WHERE blob_cid IS NOT NULL
)

FROM posted
LEFT JOIN image_outcomes USING (blob_cid)
SELECT
    hour,
    count(*) AS seen,
    count(*) FILTER (outcome = 'hashed') AS hashed,
    count(*) FILTER (outcome = 'unsupported') AS unsupported,
    count(*) FILTER (outcome = 'too_large') AS too_large,
    count(*) FILTER (outcome = 'not_found') AS not_found,
    count(*) FILTER (outcome = 'corrupt') AS corrupt,
    count(*) FILTER (outcome = 'blocked') AS blocked,
    count(*) FILTER (outcome = 'cid_mismatch') AS cid_mismatch,
    count(*) FILTER (outcome = 'gave_up') AS gave_up,
    count(*) FILTER (outcome = 'waiting') AS waiting,
    count(*) FILTER (outcome IS NULL) AS untried
GROUP BY hour;
