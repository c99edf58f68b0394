-- Which of these accounts are exempt, by which of these lists (the first, if several have them)?
FROM exempt_accounts
SELECT
    did,
    min(list_uri) AS list_uri
WHERE
    did IN (SELECT unnest($dids))
    AND list_uri IN (SELECT unnest($lists))
GROUP BY did;
