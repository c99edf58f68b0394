-- Which PDS is known of these accounts, from DID documents that are not too old?
FROM account_endpoints
SELECT
    did,
    pds
WHERE
    did IN (SELECT unnest($dids))
    AND resolved_at > $since;
