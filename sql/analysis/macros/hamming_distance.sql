-- In how many bits two numbers differ.
CREATE MACRO hamming_distance(one, other) AS bit_count(xor(one, other))::INTEGER;
