-- Keeps what became of actions. Events that were read before tell nothing new.
INSERT OR IGNORE INTO action_outcomes BY NAME
FROM read_outcomes
RETURNING action_id;
