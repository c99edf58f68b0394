-- What moderation_actions and its columns hold, for those who ask questions.
COMMENT ON TABLE moderation_actions
    IS 'A copy of the ledger: each moderation event that was planned, recorded or sent.';
COMMENT ON COLUMN moderation_actions.action_id
    IS 'Number of the action; grows in the order of recording.';
COMMENT ON COLUMN moderation_actions.external_id IS 'Identifier that Ozone refuses twice.';
COMMENT ON COLUMN moderation_actions.subject_uri
    IS 'AT URI of the post acted upon; null where the subject is the account.';
COMMENT ON COLUMN moderation_actions.subject_did
    IS 'DID of the account acted upon, or of the post''s author.';
COMMENT ON COLUMN moderation_actions.subject_cid
    IS 'CID of the post''s record; null where the subject is the account.';
COMMENT ON COLUMN moderation_actions.source_uri IS 'AT URI of the post whose image led to this.';
COMMENT ON COLUMN moderation_actions.blob_cids IS 'The matching images of that post.';
COMMENT ON COLUMN moderation_actions.event
    IS 'label, report, comment, takedown, negate_label or reverse_takedown.';
COMMENT ON COLUMN moderation_actions.value
    IS 'The label; for reports and comments that of the rule; empty for takedowns.';
COMMENT ON COLUMN moderation_actions.rule_id IS 'The rule that asked for it.';
COMMENT ON COLUMN moderation_actions.rule_version IS 'Rules version at that time.';
COMMENT ON COLUMN moderation_actions.rule_hash IS 'The nearest hash of the rule, in hexadecimal.';
COMMENT ON COLUMN moderation_actions.distance IS 'Hamming distance to it, in bits.';
COMMENT ON COLUMN moderation_actions.comment IS 'Comment that the event carries.';
COMMENT ON COLUMN moderation_actions.report_reason IS 'reportType of a report; else null.';
COMMENT ON COLUMN moderation_actions.lane
    IS 'live for posts as they come, backfill for those from before a rule.';
COMMENT ON COLUMN moderation_actions.mode IS 'live, or shadow: recorded and never sent.';
COMMENT ON COLUMN moderation_actions.state
    IS 'planned, sending, sent, shadow, held, suppressed, failed or dead.';
COMMENT ON COLUMN moderation_actions.reason IS 'Why it is not sent, or what Ozone said.';
COMMENT ON COLUMN moderation_actions.attempts IS 'How often it was taken up for sending.';
COMMENT ON COLUMN moderation_actions.ozone_event_id IS 'Number of the event in Ozone, once sent.';
COMMENT ON COLUMN moderation_actions.batch_id IS 'Names the batch in Ozone.';
COMMENT ON COLUMN moderation_actions.run_id IS 'Dagster run that planned it.';
COMMENT ON COLUMN moderation_actions.planned_at IS 'When it was planned.';
COMMENT ON COLUMN moderation_actions.sent_at IS 'When Ozone took it.';
COMMENT ON COLUMN moderation_actions.updated_at IS 'When the ledger last changed the row.';
COMMENT ON COLUMN moderation_actions.failed_runs
    IS 'Runs in which Ozone answered others and not this one.';
COMMENT ON COLUMN moderation_actions.undoes
    IS 'The action_id of the action that this one takes back.';
COMMENT ON COLUMN moderation_actions.review IS 'What a person said of it: released or rejected.';
COMMENT ON COLUMN moderation_actions.reviewed_at IS 'When.';
COMMENT ON COLUMN moderation_actions.reviewed_by IS 'Who.';
COMMENT ON COLUMN moderation_actions.settled_at
    IS 'When it was settled that nothing is to be sent.';
