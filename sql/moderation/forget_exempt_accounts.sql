-- Makes room for the members of lists that were read, and forgets those of other lists than these.
DELETE FROM exempt_accounts
WHERE
    list_uri IN (SELECT unnest($read))
    OR list_uri NOT IN (SELECT unnest($lists));
