-- Which CID has each of these records by the latest that the attached hours tell of it?
FROM image_posts
SELECT
    uri,
    arg_max(cid, time_us) AS cid
WHERE
    uri IN (SELECT unnest($uris))
    AND operation IN ('create', 'update')
    AND cid IS NOT NULL
GROUP BY uri;
