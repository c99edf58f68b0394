-- Where may events be missing, because a Jetstream host no longer had them?
-- A gap that one host has may have been filled from another: overlaps are not merged.
WITH found AS (
    FROM ingest_batches
    SELECT
        day,
        name,
        ended_us,
        unnest(gaps) AS gap
)

FROM found
SELECT
    day,
    make_timestamptz(gap.from_us) AS from_time,
    make_timestamptz(gap.to_us) AS to_time,
    gap.host,
    gap.reason,
    make_timestamptz(ended_us) AS noticed_at,
    name AS batch;
