-- Which accounts post the same matching images?
-- Pairs of accounts by how many different images, by hash, both posted that a rule matches.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 7 DAYS: beginning of the period
--   shared INTEGER = 2: images that both posted, at least
--   most INTEGER = 50: rows
WITH posted AS (
    FROM post_matches
    INNER JOIN image_hashes USING (blob_cid, algorithm)
    SELECT DISTINCT
        did,
        algorithm,
        hash,
        hash_2,
        hash_3,
        hash_4
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ)
        AND within
        AND kind = 'match'
),

-- In a wave thousands post one image; only those who share more are compared.
several AS (
    FROM posted
    SELECT *
    QUALIFY count(*) OVER (PARTITION BY did) >= coalesce(getvariable('shared'), 2)::INTEGER
)

FROM several AS one
INNER JOIN several AS other
    ON
        one.did < other.did
        AND one.algorithm = other.algorithm
        AND one.hash = other.hash
        AND one.hash_2 IS NOT DISTINCT FROM other.hash_2
        AND one.hash_3 IS NOT DISTINCT FROM other.hash_3
        AND one.hash_4 IS NOT DISTINCT FROM other.hash_4
SELECT
    one.did AS account,
    other.did AS other_account,
    count(*) AS shared_images
GROUP BY
    one.did,
    other.did
HAVING count(*) >= coalesce(getvariable('shared'), 2)::INTEGER
ORDER BY
    shared_images DESC,
    account,
    other_account
LIMIT coalesce(getvariable('most'), 50)::INTEGER;
