-- Which posts did the exceptions of a rule spare?
-- An image as near to an exception as to the nearest hash of the rule, or nearer, does not match.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 30 DAYS: beginning of the period
WITH nearest AS (
    FROM post_matches
    SELECT
        rule_id,
        uri,
        did,
        blob_cid,
        min(distance) FILTER (kind = 'match' AND within) AS to_match,
        min(distance) FILTER (kind = 'except') AS to_exception,
        arg_min(rule_hash, (distance, rule_hash)) FILTER (kind = 'except') AS exception
    WHERE hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 30 DAYS)::TIMESTAMPTZ)
    GROUP BY ALL
)

FROM nearest
SELECT
    rule_id,
    exception,
    count(DISTINCT uri) AS posts,
    count(DISTINCT did) AS accounts,
    count(DISTINCT blob_cid) AS images,
    min(uri) AS example
WHERE to_exception <= to_match
GROUP BY ALL
ORDER BY
    posts DESC,
    rule_id,
    exception;
