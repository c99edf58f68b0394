-- Which images did Jetstream tell of, in which posts? Each image of a record once an hour, each
-- delete and account event once.
-- An event can come twice, after a fail-over or by an inclusive cursor, and while compaction
-- replaces files every row may stand in two of them for a moment. The latest counts.
FROM image_post_files
SELECT
    hour,
    make_timestamptz(time_us) AS seen_at,
    * EXCLUDE (hour)
QUALIFY
    row_number() OVER (
        PARTITION BY
            hour,
            uri,
            cid,
            blob_cid,
            CASE WHEN blob_cid IS NULL THEN operation END,
            CASE WHEN blob_cid IS NULL THEN time_us END
        ORDER BY
            time_us DESC,
            position
    ) = 1;
