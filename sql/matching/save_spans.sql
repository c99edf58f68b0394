-- Notes which image hashes were matched with which rules.
INSERT INTO matched_hashes BY NAME
SELECT
    unnest($first_numbers::BIGINT[]) AS first_number,
    unnest($last_numbers::BIGINT[]) AS last_number,
    unnest($versions::VARCHAR[]) AS version,
    unnest($margins::INTEGER[]) AS margin;
