-- Forgets what the totals count of hours that are gone; the totals stay.
DELETE FROM counted_hours
WHERE partition_key IN (SELECT unnest($partition_keys::VARCHAR[]));
