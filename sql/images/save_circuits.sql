-- Keeps what a run learned about the hosts that fail.
INSERT OR REPLACE INTO host_circuits BY NAME
FROM batch_circuits
WHERE failures > 0;
