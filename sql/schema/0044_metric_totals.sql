-- Totals of what happened, for the metrics: what they count can be deleted later, they stay.
-- Each is added to in the transaction that writes what it counts, so that nothing counts twice.
CREATE TABLE metric_totals (
    name VARCHAR NOT NULL,
    labels VARCHAR NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (name, labels)
);

-- What was counted of each hour so far. Runs come back to an hour: only what its count has grown by
-- is added to the totals.
CREATE TABLE counted_hours (
    partition_key VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    labels VARCHAR NOT NULL,
    counted BIGINT NOT NULL,
    PRIMARY KEY (partition_key, name, labels)
);

-- The last batch of ingestion that the totals count. One row: a batch that is read again keeps its
-- name, and only the last can be.
CREATE TABLE counted_batches (
    name VARCHAR NOT NULL,
    ended_us BIGINT NOT NULL
);
