-- Which hosts do not give their images?
-- Images without a hash by the PDS of the author they were last asked for with. The PDS of an
-- account is known only if it was looked up lately; images that the CDN had need none.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 7 DAYS: when an image was last tried, at the earliest
--   most INTEGER = 50: rows
WITH attempts AS (
    FROM image_attempts
    LEFT JOIN account_endpoints USING (did)
    SELECT
        coalesce(regexp_extract(pds, '^[a-z]+://([^/]+)', 1), 'not looked up lately') AS host,
        *
    WHERE tried_at >= coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ
)

FROM attempts
LEFT JOIN host_circuits USING (host)
SELECT
    host,
    count(DISTINCT did) AS accounts,
    count(DISTINCT blob_cid) AS images,
    count(DISTINCT blob_cid) FILTER (outcome = 'waiting') AS waiting,
    count(DISTINCT blob_cid) FILTER (outcome = 'gave_up') AS gave_up,
    count(DISTINCT blob_cid) FILTER (outcome NOT IN ('waiting', 'gave_up')) AS refused,
    max(waits) AS most_waits,
    min(next_retry_at) AS next_retry_at,
    mode(reason ORDER BY reason) AS common_reason,
    any_value(failures) AS failures_in_a_row,
    any_value(open_until) AS not_asked_until
GROUP BY host
ORDER BY
    images DESC,
    host
LIMIT coalesce(getvariable('most'), 50)::INTEGER;
