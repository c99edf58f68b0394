-- Forgets with which rules the actions of hours were planned that are gone.
DELETE FROM partition_plans
WHERE partition_key IN (SELECT unnest($partition_keys::VARCHAR[]));
