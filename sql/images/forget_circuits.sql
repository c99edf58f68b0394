-- Forgets the hosts that answer again, and those whose last failure is long ago.
DELETE FROM host_circuits
WHERE
    host IN (FROM batch_circuits SELECT host WHERE failures = 0)
    OR updated_at < $since;
