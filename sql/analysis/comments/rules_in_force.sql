-- What rules_in_force and its columns hold, for those who ask questions.
COMMENT ON VIEW rules_in_force IS 'The rules in force, and what they do.';
COMMENT ON COLUMN rules_in_force.rule_order
    IS 'Place of the rule, from 0; the first rule that matches an image wins.';
COMMENT ON COLUMN rules_in_force.rule_id IS 'The rule.';
COMMENT ON COLUMN rules_in_force.label IS 'Its label.';
COMMENT ON COLUMN rules_in_force.comment IS 'Begins the comment of every event.';
COMMENT ON COLUMN rules_in_force.mode
    IS 'live, or shadow: its actions are recorded and never sent.';
COMMENT ON COLUMN rules_in_force.acts IS 'What the rule does.';
COMMENT ON COLUMN rules_in_force.algorithm IS 'Hash algorithm that its hashes are made with.';
COMMENT ON COLUMN rules_in_force.threshold IS 'Largest Hamming distance that matches, in bits.';
COMMENT ON COLUMN rules_in_force.hashes IS 'Hashes to look for.';
COMMENT ON COLUMN rules_in_force.hashes_set_aside
    IS 'How many of these are never acted upon, since they are dangerous.';
COMMENT ON COLUMN rules_in_force.except_hashes IS 'Hashes of images to leave alone.';
COMMENT ON COLUMN rules_in_force.expires IS 'When it stops deciding; null: never.';
COMMENT ON COLUMN rules_in_force.in_force_since
    IS 'Since when the oldest of its hashes acts as it does now.';
