-- What of these hours do the totals count already?
FROM counted_hours
SELECT
    partition_key,
    name,
    labels,
    counted
WHERE partition_key IN (SELECT unnest($partition_keys::VARCHAR[]));
