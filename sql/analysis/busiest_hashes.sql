-- Which rule hashes match most?
-- Posts within the threshold of the rules in force, also where another rule came first or the hash
-- is set aside. `exact` counts those at distance 0: where they are few, look at what else matches.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 7 DAYS: beginning of the period
--   most INTEGER = 50: rows
FROM post_matches
SELECT
    rule_id,
    rule_hash,
    count(DISTINCT uri) AS posts,
    count(DISTINCT did) AS accounts,
    count(DISTINCT blob_cid) AS images,
    count(DISTINCT uri) FILTER (distance = 0) AS exact,
    any_value(threshold) AS threshold,
    max(distance) AS farthest,
    max(seen_at) AS last_seen,
    any_value(set_aside) AS set_aside
WHERE
    hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ)
    AND within
    AND kind = 'match'
GROUP BY
    rule_id,
    rule_hash
ORDER BY
    posts DESC,
    rule_id,
    rule_hash
LIMIT coalesce(getvariable('most'), 50)::INTEGER;
