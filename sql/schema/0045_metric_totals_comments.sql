-- What the tables of the metrics and their columns hold, for those who ask questions.
COMMENT ON TABLE metric_totals IS
'Totals for the metrics; they grow only, and stay when what they count is deleted.';
COMMENT ON COLUMN metric_totals.name IS 'What is counted; docs/monitoring.md lists the metrics.';
COMMENT ON COLUMN metric_totals.labels IS 'Labels and their values as JSON, in order of labels.';
COMMENT ON COLUMN metric_totals.total IS 'How many since the warehouse knows this count.';

COMMENT ON TABLE counted_hours IS
'What of each hour the totals count already, since runs come back to an hour.';
COMMENT ON COLUMN counted_hours.partition_key IS 'The hour, e.g. 2026-11-23-19:00, in UTC.';
COMMENT ON COLUMN counted_hours.name IS 'What is counted, as in metric_totals.';
COMMENT ON COLUMN counted_hours.labels IS 'Labels and their values, as in metric_totals.';
COMMENT ON COLUMN counted_hours.counted IS 'How many of the hour are in the total.';

COMMENT ON TABLE counted_batches IS 'The last batch of ingestion that the totals count: one row.';
COMMENT ON COLUMN counted_batches.name IS 'Name of the position that it started from.';
COMMENT ON COLUMN counted_batches.ended_us IS
'When its reading ended, our clock, in microseconds since 1970.';
