-- Which images have one of these hash values? Of wider hashes the first 64 bits are looked at, and
-- a value is taken whichever algorithm it is by: what is too much does no harm, and with the hash
-- alone DuckDB skips most of the table.
FROM image_hashes
SEMI JOIN near_values USING (hash)
SELECT *;
