-- Up to which numbers do the large tables go?
SELECT
    (FROM warehouse.image_hashes SELECT coalesce(max(hash_number), 0)) AS hash_number,
    (FROM warehouse.image_outcomes SELECT coalesce(max(outcome_number), 0)) AS outcome_number;
