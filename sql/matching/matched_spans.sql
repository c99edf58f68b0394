-- Which image hashes were matched with which rules, in the order of their numbers?
FROM matched_hashes
SELECT
    first_number,
    last_number,
    version,
    margin
ORDER BY first_number;
