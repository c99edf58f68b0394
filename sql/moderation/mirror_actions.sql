-- Brings changed rows of the ledger into its copy.
INSERT OR REPLACE INTO moderation_actions BY NAME
FROM changed_actions;
