-- What actions_daily and its columns hold, for those who ask questions.
COMMENT ON VIEW actions_daily IS 'Actions by the day they were planned on.';
COMMENT ON COLUMN actions_daily.day IS 'Day in UTC.';
COMMENT ON COLUMN actions_daily.event
    IS 'label, report, comment, takedown, negate_label or reverse_takedown.';
COMMENT ON COLUMN actions_daily.value IS 'The label.';
COMMENT ON COLUMN actions_daily.rule_id IS 'The rule that asked for it.';
COMMENT ON COLUMN actions_daily.lane
    IS 'live for posts as they come, backfill for those from before a rule.';
COMMENT ON COLUMN actions_daily.mode IS 'live, or shadow: recorded and never sent.';
COMMENT ON COLUMN actions_daily.state
    IS 'planned, sending, sent, shadow, held, suppressed, failed or dead.';
COMMENT ON COLUMN actions_daily.actions IS 'How many actions.';
COMMENT ON COLUMN actions_daily.subjects IS 'How many posts and accounts they are on.';
COMMENT ON COLUMN actions_daily.accounts IS 'How many accounts and authors they are on.';
