-- What ingest_batch_files and its columns hold, for those who ask questions.
COMMENT ON VIEW ingest_batch_files IS 'The same as it stands in the files: a batch may come twice.';
COMMENT ON COLUMN ingest_batch_files.day
    IS 'Day in UTC on which the batch ended. Filter by it first: no other day is read then.';
COMMENT ON COLUMN ingest_batch_files.ended_us
    IS 'When reading ended, by our clock, in microseconds since 1970.';
COMMENT ON COLUMN ingest_batch_files.started_us IS 'When reading began, by our clock.';
COMMENT ON COLUMN ingest_batch_files.name
    IS 'Name of the position that the batch started from; names its files too.';
COMMENT ON COLUMN ingest_batch_files.host IS 'The Jetstream host it was read from.';
COMMENT ON COLUMN ingest_batch_files.start_us IS 'Event time that it started from.';
COMMENT ON COLUMN ingest_batch_files.cursor_us IS 'Event time that the next batch starts from.';
COMMENT ON COLUMN ingest_batch_files.newest_us
    IS 'The largest event time taken; null without events.';
COMMENT ON COLUMN ingest_batch_files.seq
    IS 'Number of the event that the next batch starts from, if the host names one.';
COMMENT ON COLUMN ingest_batch_files.tip_seq
    IS 'Number of the newest event of the host, where it was asked.';
COMMENT ON COLUMN ingest_batch_files.caught_up IS 'Whether the stream had nothing more to give.';
COMMENT ON COLUMN ingest_batch_files.events IS 'Events taken, of every kind.';
COMMENT ON COLUMN ingest_batch_files.posts IS 'Events that are records of wanted collections.';
COMMENT ON COLUMN ingest_batch_files.malformed IS 'Frames that are no events.';
COMMENT ON COLUMN ingest_batch_files.files IS 'Files of image_posts that the batch wrote.';
COMMENT ON COLUMN ingest_batch_files.gaps IS 'Where events may be missing.';
COMMENT ON COLUMN ingest_batch_files.anomalies
    IS 'What was not understood, by name, with one sample each.';
