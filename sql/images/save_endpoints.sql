-- Keeps the PDS of accounts whose DID document was read in this run.
INSERT OR REPLACE INTO account_endpoints BY NAME
FROM batch_endpoints;
