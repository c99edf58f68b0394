-- Forgets with which rules hours were matched that are gone.
DELETE FROM partition_matches
WHERE partition_key IN (SELECT unnest($partition_keys::VARCHAR[]));
