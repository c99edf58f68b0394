-- Which image hashes, by their numbers, were matched with which rules version, and how many bits
-- beyond the thresholds. A few rows that cover the numbers without gap or overlap; hashes with
-- larger numbers were never matched.
CREATE TABLE matched_hashes (
    first_number BIGINT NOT NULL,
    last_number BIGINT NOT NULL,
    version VARCHAR NOT NULL,
    margin INTEGER NOT NULL
);
