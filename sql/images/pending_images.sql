-- Which images of the attached hours still lack a hash by one of $algorithms, and which; and with
-- which author are they to be asked for?
-- An author comes into question who was never tried for the image, who posted it again since, or
-- with whom it waits and is due; what was only tried with others says nothing about this one.
-- With $retry_given_up also one with whom the image was given up.
-- is_new: the image has no hash at all, and was never asked for with this author.
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
),

-- Narrowed first: the hour's images are few beside all those ever hashed.
known AS MATERIALIZED (
    FROM image_hashes
    SELECT
        blob_cid,
        algorithm
    WHERE blob_cid IN (FROM authors SELECT blob_cid)
),

lacking AS (
    FROM (FROM authors SELECT DISTINCT blob_cid) AS posted
    CROSS JOIN (SELECT unnest($algorithms::VARCHAR[]) AS algorithm) AS wanted
    ANTI JOIN known USING (blob_cid, algorithm)
    SELECT
        blob_cid,
        list(algorithm ORDER BY algorithm) AS missing
    GROUP BY blob_cid
)

FROM authors
INNER JOIN lacking USING (blob_cid)
LEFT JOIN image_attempts USING (blob_cid, did)
SELECT
    blob_cid,
    did,
    authors.mime_type,
    authors.embed_type,
    lacking.missing,
    image_attempts.tried_at IS NULL
    AND blob_cid NOT IN (FROM known SELECT blob_cid) AS is_new
WHERE
    image_attempts.tried_at IS NULL
    OR make_timestamptz(authors.last_time_us) > image_attempts.tried_at
    OR image_attempts.next_retry_at <= $now
    OR ($retry_given_up AND image_attempts.outcome = 'gave_up')
QUALIFY
    row_number() OVER (
        PARTITION BY blob_cid
        ORDER BY image_attempts.tried_at NULLS FIRST, authors.last_time_us DESC, did
    ) = 1
ORDER BY authors.last_time_us, blob_cid;
