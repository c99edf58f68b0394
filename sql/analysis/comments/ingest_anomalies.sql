-- What ingest_anomalies and its columns hold, for those who ask questions.
COMMENT ON VIEW ingest_anomalies IS 'What in events was not understood or not taken, by type.';
COMMENT ON COLUMN ingest_anomalies.type IS 'What it was.';
COMMENT ON COLUMN ingest_anomalies.count IS 'How often.';
COMMENT ON COLUMN ingest_anomalies.first_time IS 'When it was first seen.';
COMMENT ON COLUMN ingest_anomalies.last_time IS 'When it was last seen.';
COMMENT ON COLUMN ingest_anomalies.sample IS 'AT URI of one of them, the latest.';
