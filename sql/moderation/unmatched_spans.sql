-- Which image hashes that were matched once were last matched with another rules version?
FROM matched_hashes
SELECT first_number
WHERE version <> $version
LIMIT 1;
