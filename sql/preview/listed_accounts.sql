-- Which accounts do which lists exempt?
FROM exempt_accounts
SELECT
    list_uri,
    did;
