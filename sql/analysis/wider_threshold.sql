-- What would a wider threshold add?
-- Per rule the posts within its threshold, and those beyond it by the bits in question. Matches are
-- kept up to MATCH_MARGIN (2) bits beyond the threshold, so more bits show no more. If those who
-- posted the new ones matched already, they may be the same image; if not, look at the example.
-- Posts that another rule decides, and exceptions, are not left out: a preview does that.
--
-- Parameters:
--   bits INTEGER = 1: bits that the thresholds grow by
--   since TIMESTAMPTZ = now() - INTERVAL 30 DAYS: beginning of the period
WITH nearest AS (
    FROM post_matches
    SELECT
        rule_id,
        uri,
        did,
        max(seen_at) AS seen_at,
        min(distance - threshold) AS beyond
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 30 DAYS)::TIMESTAMPTZ)
        AND kind = 'match'
        AND set_aside IS NULL
    GROUP BY
        rule_id,
        uri,
        did
),

known AS (
    FROM nearest
    SELECT DISTINCT
        rule_id,
        did
    WHERE beyond <= 0
)

FROM nearest
LEFT JOIN known
    ON
        known.rule_id = nearest.rule_id
        AND known.did = nearest.did
SELECT
    nearest.rule_id,
    count(*) FILTER (beyond <= 0) AS posts,
    count(*) FILTER (beyond > 0) AS more_posts,
    count(DISTINCT nearest.did) FILTER (beyond > 0) AS by_accounts,
    count(DISTINCT nearest.did) FILTER (beyond > 0 AND known.did IS NULL) AS by_new_accounts,
    arg_max(nearest.uri, (nearest.seen_at, nearest.uri)) FILTER (beyond > 0) AS example
WHERE beyond <= coalesce(getvariable('bits'), 1)::INTEGER
GROUP BY nearest.rule_id
ORDER BY
    more_posts DESC,
    nearest.rule_id;
