-- Notes the last batch that the totals count.
INSERT INTO counted_batches BY NAME
SELECT
    $name AS name,
    $ended_us AS ended_us;
