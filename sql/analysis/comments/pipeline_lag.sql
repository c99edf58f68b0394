-- What pipeline_lag and its columns hold, for those who ask questions.
COMMENT ON VIEW pipeline_lag IS 'How far behind each batch was, and how fast.';
COMMENT ON COLUMN pipeline_lag.day
    IS 'Day in UTC on which the batch ended. Filter by it first: no other day is read then.';
COMMENT ON COLUMN pipeline_lag.ended_at IS 'When reading ended.';
COMMENT ON COLUMN pipeline_lag.host IS 'The Jetstream host.';
COMMENT ON COLUMN pipeline_lag.lag_seconds IS 'Age of the newest event by then, in seconds.';
COMMENT ON COLUMN pipeline_lag.sequence_lag
    IS 'Events that the host had beyond what was read, where known.';
COMMENT ON COLUMN pipeline_lag.caught_up IS 'Whether the stream had nothing more to give.';
COMMENT ON COLUMN pipeline_lag.seconds IS 'How long the batch was read, in seconds.';
COMMENT ON COLUMN pipeline_lag.events IS 'Events taken, of every kind.';
COMMENT ON COLUMN pipeline_lag.posts IS 'Events that are records of wanted collections.';
COMMENT ON COLUMN pipeline_lag.events_per_second IS 'Events taken in a second.';
COMMENT ON COLUMN pipeline_lag.batch IS 'Name of the batch.';
