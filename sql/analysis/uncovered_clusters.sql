-- Which images did many accounts post that no rule covers?
-- Images with the same hash are taken for one. Candidates for rules: look at them first, many are
-- harmless. Flat images, whose hash says little, are left out.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 1 DAY: beginning of the period
--   accounts INTEGER = 5: accounts that posted it, at least
--   quality INTEGER = 10: quality of its hash, at least
--   most INTEGER = 50: rows
WITH posted AS (
    FROM image_post_files
    SELECT DISTINCT
        blob_cid,
        uri,
        did,
        time_us
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 1 DAY)::TIMESTAMPTZ)
        AND operation IN ('create', 'update')
),

popular AS (
    FROM posted
    INNER JOIN image_hashes USING (blob_cid)
    SELECT
        algorithm,
        hash,
        hash_2,
        hash_3,
        hash_4,
        min(quality) AS quality,
        count(DISTINCT did) AS accounts,
        count(DISTINCT uri) AS posts,
        count(DISTINCT blob_cid) AS images,
        arg_max(blob_cid, (time_us, blob_cid)) AS blob_cid,
        arg_max(uri, (time_us, uri)) AS latest_post
    GROUP BY ALL
    HAVING
        count(DISTINCT did) >= coalesce(getvariable('accounts'), 5)::INTEGER
        AND min(quality) >= coalesce(getvariable('quality'), 10)::INTEGER
),

covered AS (
    FROM rule_matches
    INNER JOIN rule_hashes USING (rule_id, rule_hash, algorithm)
    SEMI JOIN version_in_force USING (version)
    SELECT DISTINCT
        blob_cid,
        algorithm
    WHERE distance <= threshold
)

FROM popular
ANTI JOIN covered USING (blob_cid, algorithm)
SELECT
    hash_text(hash, hash_2, hash_3, hash_4) AS hash,
    algorithm,
    accounts,
    posts,
    images,
    quality,
    latest_post
ORDER BY
    accounts DESC,
    posts DESC,
    hash
LIMIT coalesce(getvariable('most'), 50)::INTEGER;
