-- Notes what of these hours the totals count now.
INSERT INTO counted_hours BY NAME
SELECT
    unnest($partition_keys::VARCHAR[]) AS partition_key,
    unnest($names::VARCHAR[]) AS name,
    unnest($labels::VARCHAR[]) AS labels,
    unnest($counts::BIGINT[]) AS counted
ON CONFLICT DO UPDATE SET counted = excluded.counted;
