-- Which posts of one account matched which rules, and what was done about them?
-- The latest first; also matches beyond the threshold (within: false) and of rules that are no
-- longer in force (no threshold).
--
-- Parameters:
--   account VARCHAR: DID of the account
--   since TIMESTAMPTZ = now() - INTERVAL 30 DAYS: beginning of the period
WITH done AS (
    FROM moderation_actions
    SELECT
        source_uri,
        rule_id,
        list(DISTINCT concat_ws(' ', event, value, '(' || state || ')')) AS actions
    WHERE
        subject_did
        = coalesce(getvariable('account'), error('SET VARIABLE account first'))::VARCHAR
    GROUP BY ALL
)

FROM post_matches
LEFT JOIN done
    ON
        done.source_uri = post_matches.uri
        AND done.rule_id = post_matches.rule_id
SELECT
    post_matches.seen_at,
    post_matches.uri,
    post_matches.rule_id,
    post_matches.rule_hash,
    post_matches.distance,
    post_matches.threshold,
    post_matches.within,
    list_sort(done.actions) AS actions
WHERE
    post_matches.hour
    >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 30 DAYS)::TIMESTAMPTZ)
    AND post_matches.did
    = coalesce(getvariable('account'), error('SET VARIABLE account first'))::VARCHAR
ORDER BY
    post_matches.seen_at DESC,
    post_matches.uri,
    post_matches.distance,
    post_matches.rule_id;
