-- How images ended, as of the snapshot: those with a hash from files, the others from a table.
FROM read_parquet($files)
SELECT *
WHERE outcome_number <= $last_number

UNION ALL BY NAME

FROM unhashed_outcomes;
