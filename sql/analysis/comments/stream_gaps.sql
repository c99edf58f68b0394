-- What stream_gaps and its columns hold, for those who ask questions.
COMMENT ON VIEW stream_gaps
    IS 'Where events may be missing, because a Jetstream host no longer had them.';
COMMENT ON COLUMN stream_gaps.day
    IS 'Day in UTC on which it was noticed. Filter by it first: no other day is read then.';
COMMENT ON COLUMN stream_gaps.from_time IS 'The last event known before the gap.';
COMMENT ON COLUMN stream_gaps.to_time IS 'The first event after it.';
COMMENT ON COLUMN stream_gaps.host IS 'The Jetstream host.';
COMMENT ON COLUMN stream_gaps.reason IS 'How it was noticed.';
COMMENT ON COLUMN stream_gaps.noticed_at IS 'When it was noticed.';
COMMENT ON COLUMN stream_gaps.batch IS 'The batch that noticed it.';
