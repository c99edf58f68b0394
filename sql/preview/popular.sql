-- Which hash values near the rules do images have that at least $accounts accounts posted?
-- All images with the same hash are taken for one image here: copies of it that were saved, resized
-- or compressed anew differ in their CIDs and mostly not in their hash.
WITH posted AS (
    FROM image_posts
    INNER JOIN image_hashes USING (blob_cid)
    SELECT
        blob_cid,
        uri,
        did,
        time_us,
        algorithm,
        concat_ws(' ', *COLUMNS('^hash(_[234])?$')) AS words
    WHERE operation IN ('create', 'update')
),

popular AS (
    FROM posted
    SELECT
        algorithm,
        words,
        count(DISTINCT did) AS accounts,
        count(DISTINCT uri) AS posts,
        count(DISTINCT blob_cid) AS images,
        count(DISTINCT uri) FILTER (uri IN (FROM decided_now SELECT uri)) AS decided_posts,
        arg_max(uri, (time_us, uri)) AS example
    GROUP BY ALL
    HAVING count(DISTINCT did) >= $accounts
),

near AS (
    FROM posted
    INNER JOIN reached ON reached.blob_cid = posted.blob_cid
    INNER JOIN previewed_hashes USING (rule_id, rule_hash)
    SELECT DISTINCT
        previewed_hashes.rule_id,
        previewed_hashes.rule_hash,
        previewed_hashes.hash_order,
        reached.distance,
        reached.within,
        posted.words,
        posted.algorithm
    WHERE posted.algorithm = previewed_hashes.algorithm
    QUALIFY
        row_number() OVER (
            PARTITION BY previewed_hashes.rule_id, posted.words
            ORDER BY reached.distance, previewed_hashes.hash_order
        ) = 1
)

FROM near
INNER JOIN popular USING (algorithm, words)
SELECT
    near.rule_id,
    words,
    near.rule_hash,
    near.distance,
    near.within,
    popular.accounts,
    popular.posts,
    popular.images,
    popular.decided_posts,
    popular.example
ORDER BY
    near.rule_id,
    popular.accounts DESC,
    words
LIMIT $limit;
