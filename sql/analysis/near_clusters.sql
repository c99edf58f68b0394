-- Which groups of nearly identical images did several accounts post?
-- Each group stands around its most posted hash: a hash belongs to the most posted one within the
-- distance. So members may differ from one another by up to twice as much.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 1 DAY: beginning of the period
--   distance INTEGER = 3: bits in which a member differs from the middle, at most
--   accounts INTEGER = 3: accounts that posted the group, at least
--   algorithm VARCHAR = 'average': hash algorithm
--   quality INTEGER = 10: quality of the hashes, at least
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
        did
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
SELECT
    any_value(hash_text(middle.hash, middle.hash_2, middle.hash_3, middle.hash_4)) AS hash,
    count(DISTINCT middles.rank) AS hashes,
    count(DISTINCT posted.did) AS accounts,
    count(DISTINCT posted.uri) AS posts,
    count(DISTINCT posted.blob_cid) AS images,
    min(posted.uri) AS example
GROUP BY middles.middle_rank
HAVING
    count(DISTINCT posted.did) >= coalesce(getvariable('accounts'), 3)::INTEGER
    AND count(DISTINCT posted.blob_cid) > 1
ORDER BY
    accounts DESC,
    posts DESC,
    hash
LIMIT coalesce(getvariable('most'), 50)::INTEGER;
