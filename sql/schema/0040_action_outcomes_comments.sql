-- What action_outcomes and its columns hold, for those who ask questions.
COMMENT ON TABLE action_outcomes
    IS 'What became of sent actions at the labeler, as Ozone tells: a row per action and event.';
COMMENT ON COLUMN action_outcomes.action_id IS 'Number of the action.';
COMMENT ON COLUMN action_outcomes.ozone_event_id IS 'Number of the event in Ozone.';
COMMENT ON COLUMN action_outcomes.outcome
    IS 'label_negated, takedown_reversed, label_confirmed, appealed and so on.';
COMMENT ON COLUMN action_outcomes.by_did IS 'DID of whoever did it.';
COMMENT ON COLUMN action_outcomes.by_kind
    IS 'people; pipeline (an undo); or schedule (a label or takedown that had an end).';
COMMENT ON COLUMN action_outcomes.happened_at IS 'When.';
COMMENT ON COLUMN action_outcomes.comment IS 'Comment of that event.';
