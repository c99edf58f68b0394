-- Accounts that nothing is done to because a list in EXEMPT_LISTS has them, as last read, and what
-- became of reading each list.
-- read_at: when all members were last read; null: never. problem: why the last attempt, at
-- tried_at, changed nothing; null: it succeeded.
CREATE TABLE exempt_lists (
    list_uri VARCHAR PRIMARY KEY,
    read_at TIMESTAMPTZ,
    members INTEGER,
    tried_at TIMESTAMPTZ NOT NULL,
    problem VARCHAR
);

CREATE TABLE exempt_accounts (
    list_uri VARCHAR NOT NULL,
    did VARCHAR NOT NULL
);
