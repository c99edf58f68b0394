-- How long does it take from a post to the action on it?
-- Sent actions of the live lane by event: seconds from the moment Jetstream told of the post to the
-- plan, and to Ozone's answer.
--
-- Parameters:
--   since TIMESTAMPTZ = now() - INTERVAL 7 DAYS: beginning of the period
WITH posts AS (
    FROM image_post_files
    SELECT
        uri,
        make_timestamptz(min(time_us)) AS seen_at
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ)
        AND operation IN ('create', 'update')
    GROUP BY uri
)

FROM moderation_actions
INNER JOIN posts ON posts.uri = moderation_actions.source_uri
SELECT
    event,
    count(*) AS actions,
    round(median(epoch(planned_at - seen_at)), 1) AS median_to_plan,
    round(median(epoch(sent_at - seen_at)), 1) AS median_to_sent,
    round(quantile_cont(epoch(sent_at - seen_at), 0.9), 1) AS p90_to_sent,
    round(quantile_cont(epoch(sent_at - seen_at), 0.99), 1) AS p99_to_sent,
    round(max(epoch(sent_at - seen_at)), 1) AS longest_to_sent
WHERE
    state = 'sent'
    AND lane = 'live'
    AND undoes IS NULL
    AND sent_at >= coalesce(getvariable('since'), now() - INTERVAL 7 DAYS)::TIMESTAMPTZ
GROUP BY event
ORDER BY event;
