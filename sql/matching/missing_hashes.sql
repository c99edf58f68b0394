-- Which hashes of a rules version reach images that $known_version did not, at $known_margin?
-- Those that it lacks by the same rule and algorithm, and those that now reach further. All, if
-- $known_version is null. The versions may be the same and the margins differ.
CREATE OR REPLACE TEMP TABLE missing_hashes AS
FROM rule_hashes AS wanted
ANTI JOIN (FROM rule_hashes SELECT * WHERE version = $known_version) AS known
    ON
        wanted.rule_id = known.rule_id
        AND wanted.rule_hash = known.rule_hash
        AND wanted.algorithm = known.algorithm
        AND wanted.threshold + $margin <= known.threshold + $known_margin
SELECT DISTINCT
    rule_id,
    rule_hash,
    algorithm,
    hash,
    hash_2,
    hash_3,
    hash_4,
    threshold + $margin AS reach
WHERE version = $version;
