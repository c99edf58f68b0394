-- What exempt_accounts and its columns hold, for those who ask questions.
COMMENT ON TABLE exempt_accounts
    IS 'Accounts that nothing is done to because a list in EXEMPT_LISTS has them.';
COMMENT ON COLUMN exempt_accounts.list_uri IS 'AT URI of the list.';
COMMENT ON COLUMN exempt_accounts.did IS 'DID of the account.';
