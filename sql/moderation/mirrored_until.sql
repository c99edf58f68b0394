-- Up to which change of the ledger is its copy complete?
FROM moderation_actions
SELECT max(updated_at);
