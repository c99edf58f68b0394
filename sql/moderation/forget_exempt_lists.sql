-- Forgets other lists than these.
DELETE FROM exempt_lists
WHERE list_uri NOT IN (SELECT unnest($lists));
