-- Adds what is new; what is there keeps when it was first found.
INSERT INTO rule_matches BY NAME
FROM new_matches
SELECT
    *,
    $version AS first_version,
    $matched_at AS matched_at;
