-- Which values of which bands must an image have, to be within reach of a hash of a rules version?
-- For 64-bit hashes of one algorithm. The reach of a rule hash is its threshold and $margin bits
-- beyond. Hashes that reach $exhaustive_from bits or more are left to find_wide_matches.
--
-- Two hashes within distance d, cut into bands 0 to 3 of 16 bits, differ in some band b by at most
-- (d - b) // 4 bits: if every band differed by more, they would differ by more than d in all
-- (Norouzi, Punjani and Fleet, arXiv:1307.2982). So each band of each rule hash is spread into all
-- values that near it, by the masks that flip so many bits.
CREATE OR REPLACE TEMP TABLE rule_bands AS
WITH bands (band) AS (VALUES (0), (1), (2), (3)),

masks AS (
    FROM range(65536) AS masks (mask)
    SELECT
        mask::INTEGER AS mask,
        bit_count(mask)::INTEGER AS bits
    WHERE bit_count(mask) <= ($exhaustive_from - 1) // 4
)

FROM rule_hashes
INNER JOIN bands ON band <= threshold + $margin
INNER JOIN masks ON bits <= (threshold + $margin - band) // 4
SELECT
    rule_id,
    rule_hash,
    hash,
    threshold + $margin AS reach,
    (band << 16) + xor(((hash >> (16 * band)) & 65535)::INTEGER, mask) AS band_value
WHERE
    version = $version
    AND algorithm = $algorithm
    AND threshold + $margin < $exhaustive_from;
