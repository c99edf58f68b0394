-- What top_accounts and its columns hold, for those who ask questions.
COMMENT ON VIEW top_accounts
    IS 'What the ledger recorded about each account and its posts; undoing left out.';
COMMENT ON COLUMN top_accounts.did IS 'DID of the account.';
COMMENT ON COLUMN top_accounts.posts IS 'Posts that led to actions.';
COMMENT ON COLUMN top_accounts.actions IS 'Actions on them and on the account, in any state.';
COMMENT ON COLUMN top_accounts.sent IS 'How many of these Ozone has.';
COMMENT ON COLUMN top_accounts.shadow IS 'How many were recorded only.';
COMMENT ON COLUMN top_accounts.held IS 'How many wait for a person.';
COMMENT ON COLUMN top_accounts.rules IS 'The rules that asked for them.';
COMMENT ON COLUMN top_accounts.labels IS 'The labels.';
COMMENT ON COLUMN top_accounts.first_at IS 'When the first was planned.';
COMMENT ON COLUMN top_accounts.last_at IS 'When the last was planned.';
