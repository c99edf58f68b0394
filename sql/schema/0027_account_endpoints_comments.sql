-- What account_endpoints and its columns hold, for those who ask questions.
COMMENT ON TABLE account_endpoints
    IS 'The PDS of accounts, as their DID documents named it lately.';
COMMENT ON COLUMN account_endpoints.did IS 'DID of the account.';
COMMENT ON COLUMN account_endpoints.pds IS 'Address of its PDS.';
COMMENT ON COLUMN account_endpoints.resolved_at
    IS 'When the DID document was read; forgotten after IDENTITY_CACHE_HOURS.';
