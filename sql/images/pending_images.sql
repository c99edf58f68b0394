-- Which images of the attached hours still need a hash by $algorithm, and with which author?
-- An author comes into question who was never tried for the image, who posted it again since, or
-- with whom it waits and is due; what was only tried with others says nothing about this one.
-- One stands for each image: one never tried, who posted last; else the one tried longest ago.
WITH authors AS (
    FROM image_posts
    SELECT
        blob_cid,
        did,
        arg_max(mime_type, time_us) AS mime_type,
        arg_max(embed_type, time_us) AS embed_type,
        max(time_us) AS last_time_us
    WHERE blob_cid IS NOT NULL
    GROUP BY ALL
)

FROM authors
LEFT JOIN image_attempts USING (blob_cid, did)
LEFT JOIN image_hashes
    ON image_hashes.blob_cid = authors.blob_cid AND image_hashes.algorithm = $algorithm
SELECT
    authors.blob_cid,
    authors.did,
    authors.mime_type,
    authors.embed_type
WHERE
    image_hashes.hash IS NULL
    AND (
        image_attempts.tried_at IS NULL
        OR make_timestamptz(authors.last_time_us) > image_attempts.tried_at
        OR image_attempts.next_retry_at <= $now
    )
QUALIFY
    row_number() OVER (
        PARTITION BY authors.blob_cid
        ORDER BY image_attempts.tried_at NULLS FIRST, authors.last_time_us DESC, authors.did
    ) = 1
ORDER BY authors.last_time_us, authors.blob_cid;
