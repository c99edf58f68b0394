-- Which matches are not acted upon because their hash says too little?
-- Images whose hash has a quality below MIN_IMAGE_QUALITY (10) share it with many others.
--
-- Parameters:
--   quality INTEGER = 10: quality below which an image is too plain
--   since TIMESTAMPTZ = now() - INTERVAL 30 DAYS: beginning of the period
FROM post_matches
INNER JOIN image_hashes USING (blob_cid, algorithm)
SELECT
    rule_id,
    count(DISTINCT uri) AS posts,
    count(DISTINCT uri) FILTER (
        quality < coalesce(getvariable('quality'), 10)::INTEGER
    ) AS plain_posts,
    count(DISTINCT did) FILTER (
        quality < coalesce(getvariable('quality'), 10)::INTEGER
    ) AS plain_accounts,
    min(quality) AS least_quality,
    median(quality) AS median_quality
WHERE
    hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 30 DAYS)::TIMESTAMPTZ)
    AND within
    AND kind = 'match'
GROUP BY rule_id
ORDER BY
    plain_posts DESC,
    rule_id;
