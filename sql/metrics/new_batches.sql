-- What did the batches bring that ended after the last one that is counted?
-- A batch that was read again has the name of the one that is counted, and counts no more.
FROM ingest_batches
SELECT
    count(*) AS ingest_batches,
    coalesce(sum(events), 0)::BIGINT AS ingest_events,
    coalesce(sum(posts), 0)::BIGINT AS ingest_posts,
    coalesce(sum(list_sum(list_transform(files, lambda file: file.images))), 0)::BIGINT
        AS ingest_images,
    coalesce(sum(malformed), 0)::BIGINT AS ingest_malformed_frames,
    coalesce(sum(list_sum(list_transform(anomalies, lambda anomaly: anomaly.count))), 0)::BIGINT
        AS ingest_anomalies,
    coalesce(sum(len(gaps)), 0)::BIGINT AS ingest_gaps,
    coalesce(
        sum(list_sum(list_transform(gaps, lambda gap: greatest(gap.to_us - gap.from_us, 0)))), 0
    )::BIGINT AS ingest_gap_microseconds
WHERE
    ended_us > $after_us
    AND name <> $counted_name;
