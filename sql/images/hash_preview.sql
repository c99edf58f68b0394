-- The latest hashes of the attached hours, for a glance in the Dagster UI.
FROM (FROM image_posts SELECT DISTINCT blob_cid) AS posted
INNER JOIN image_hashes USING (blob_cid)
SELECT
    blob_cid,
    concat(
        format('{:016x}', hash),
        format('{:016x}', hash_2),
        format('{:016x}', hash_3),
        format('{:016x}', hash_4)
    ) AS hash,
    quality,
    format('{}x{}', width, height) AS size,
    source
ORDER BY
    hashed_at DESC,
    blob_cid
LIMIT 10;
