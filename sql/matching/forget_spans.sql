-- Makes room for what save_spans says.
DELETE FROM matched_hashes;
