-- Which groups of nearly identical images did several accounts post?
-- Each group stands around its most posted hash: a hash belongs to the most posted one within the
-- distance. So members may differ from one another by up to twice as much. `covered` are those that
-- a rule in force reaches; `first_hashed_at` tells since when images with these hashes are known.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 1 DAY: beginning of the period
--   distance INTEGER = 3: bits in which a member differs from the middle, at most
--   accounts INTEGER = 3: accounts that posted the group, at least
--   algorithm VARCHAR = 'average': hash algorithm
--   quality INTEGER = 10: quality of the hashes, at least
--   images INTEGER = 2: different images in the group, at least
--   uncovered BOOLEAN = false: only groups that no rule in force reaches
--   new BOOLEAN = false: only groups that were not known before the period
--   most INTEGER = 50: rows
WITH posted AS (
    FROM image_post_files
    INNER JOIN image_hashes USING (blob_cid)
    SELECT DISTINCT
        hash,
        hash_2,
        hash_3,
        hash_4,
        blob_cid,
        uri,
        did,
        time_us
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 1 DAY)::TIMESTAMPTZ)
        AND operation IN ('create', 'update')
        AND algorithm = coalesce(getvariable('algorithm'), 'average')::VARCHAR
        AND quality >= coalesce(getvariable('quality'), 10)::INTEGER
),

-- Comparing all with all takes the square of this many.
popular AS (
    FROM posted
    SELECT
        row_number() OVER (
            ORDER BY
                count(DISTINCT did) DESC,
                count(DISTINCT uri) DESC,
                hash,
                hash_2,
                hash_3,
                hash_4
        ) AS rank,
        hash,
        hash_2,
        hash_3,
        hash_4
    GROUP BY
        hash,
        hash_2,
        hash_3,
        hash_4
    QUALIFY rank <= 20000
),

middles AS (
    FROM popular AS member
    INNER JOIN popular AS middle
        ON
            middle.rank <= member.rank
            AND hamming_distance(member.hash, middle.hash)
            + coalesce(hamming_distance(member.hash_2, middle.hash_2), 0)
            + coalesce(hamming_distance(member.hash_3, middle.hash_3), 0)
            + coalesce(hamming_distance(member.hash_4, middle.hash_4), 0)
            <= coalesce(getvariable('distance'), 3)::INTEGER
    SELECT
        member.rank,
        min(middle.rank) AS middle_rank
    GROUP BY member.rank
),

known AS (
    FROM image_hashes
    INNER JOIN popular
        ON
            image_hashes.hash = popular.hash
            AND image_hashes.hash_2 IS NOT DISTINCT FROM popular.hash_2
            AND image_hashes.hash_3 IS NOT DISTINCT FROM popular.hash_3
            AND image_hashes.hash_4 IS NOT DISTINCT FROM popular.hash_4
    SELECT
        popular.rank,
        min(image_hashes.hashed_at) AS hashed_at
    WHERE algorithm = coalesce(getvariable('algorithm'), 'average')::VARCHAR
    GROUP BY popular.rank
),

in_reach AS (
    FROM rule_matches
    INNER JOIN rule_hashes USING (rule_id, rule_hash, algorithm)
    SEMI JOIN version_in_force USING (version)
    SELECT DISTINCT blob_cid
    WHERE
        distance <= threshold
        AND algorithm = coalesce(getvariable('algorithm'), 'average')::VARCHAR
)

FROM posted
INNER JOIN popular
    ON
        posted.hash = popular.hash
        AND posted.hash_2 IS NOT DISTINCT FROM popular.hash_2
        AND posted.hash_3 IS NOT DISTINCT FROM popular.hash_3
        AND posted.hash_4 IS NOT DISTINCT FROM popular.hash_4
INNER JOIN middles USING (rank)
INNER JOIN popular AS middle ON middle.rank = middles.middle_rank
INNER JOIN known ON known.rank = middles.rank
LEFT JOIN in_reach ON in_reach.blob_cid = posted.blob_cid
SELECT
    any_value(hash_text(middle.hash, middle.hash_2, middle.hash_3, middle.hash_4)) AS hash,
    count(DISTINCT middles.rank) AS hashes,
    count(DISTINCT posted.did) AS accounts,
    count(DISTINCT posted.uri) AS posts,
    count(DISTINCT posted.blob_cid) AS images,
    count(in_reach.blob_cid) > 0 AS covered,
    min(known.hashed_at) AS first_hashed_at,
    arg_max(posted.uri, (posted.time_us, posted.uri)) AS latest_post,
    arg_max(posted.blob_cid, (posted.time_us, posted.uri, posted.blob_cid)) AS blob_cid
GROUP BY middles.middle_rank
HAVING
    count(DISTINCT posted.did) >= coalesce(getvariable('accounts'), 3)::INTEGER
    AND count(DISTINCT posted.blob_cid) >= coalesce(getvariable('images'), 2)::INTEGER
    AND (
        count(in_reach.blob_cid) = 0
        OR NOT coalesce(getvariable('uncovered'), false)::BOOLEAN
    )
    AND (
        min(known.hashed_at) >= coalesce(getvariable('since'), now() - INTERVAL 1 DAY)::TIMESTAMPTZ
        OR NOT coalesce(getvariable('new'), false)::BOOLEAN
    )
ORDER BY
    accounts DESC,
    posts DESC,
    hash
LIMIT coalesce(getvariable('most'), 50)::INTEGER;
