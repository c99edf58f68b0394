-- The PDS of accounts as their DID documents named it at `resolved_at`; forgotten after
-- IDENTITY_CACHE_HOURS.
CREATE TABLE account_endpoints (
    did VARCHAR PRIMARY KEY,
    pds VARCHAR NOT NULL,
    resolved_at TIMESTAMPTZ NOT NULL
);
