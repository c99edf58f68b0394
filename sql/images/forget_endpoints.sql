-- Forgets the PDS of accounts whose DID document was read too long ago.
DELETE FROM account_endpoints
WHERE resolved_at <= $since;
