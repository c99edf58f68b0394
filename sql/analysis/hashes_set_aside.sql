-- Which rule hashes are set aside, and what would they have matched?
-- They are dangerous: flat, striped, colliding and so on. They are matched, and never acted upon
-- until the rule allows the danger.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 7 DAYS: beginning of the period
WITH matched AS (
    FROM post_matches
    SELECT
        rule_id,
        rule_hash,
        count(DISTINCT uri) AS posts,
        count(DISTINCT did) AS accounts,
        count(DISTINCT blob_cid) AS images
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ)
        AND within
        AND set_aside IS NOT NULL
    GROUP BY
        rule_id,
        rule_hash
)

FROM rule_hashes
SEMI JOIN version_in_force USING (version)
LEFT JOIN matched USING (rule_id, rule_hash)
SELECT
    rule_id,
    rule_hash,
    set_aside,
    coalesce(posts, 0) AS posts,
    coalesce(accounts, 0) AS accounts,
    coalesce(images, 0) AS images
WHERE set_aside IS NOT NULL
ORDER BY
    posts DESC,
    rule_id,
    rule_hash;
