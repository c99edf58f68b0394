-- Which values must an image have in one band, to be near enough there to a wanted hash?
--
-- Two hashes within distance d, cut into n bands numbered from 0, differ in some band b by at most
-- (d - b) // n bits: if every band differed by more, they would differ by more than d in all
-- (Norouzi, Punjani and Fleet, arXiv:1307.2982). So the band of each hash is spread into all values
-- that near it, by $masks that flip so many bits. Hashes that reach $compared_from bits or more
-- are left to compare_all; the others are taken in $passes parts.
CREATE OR REPLACE TEMP TABLE band_values AS
FROM wanted_hashes
INNER JOIN (SELECT unnest($masks::UINTEGER[]) AS mask) AS masks
    ON bit_count(mask) <= (reach - $band) // $bands
SELECT
    hash_id,
    hash,
    hash_2,
    hash_3,
    hash_4,
    reach,
    xor(
        (
            ([hash, hash_2, hash_3, hash_4][$word] >> $shift) & ((1::UBIGINT << $width) - 1)
        )::UINTEGER,
        mask
    ) AS band_value
WHERE
    hash_id % $passes = $part
    AND reach >= $band
    AND reach < $compared_from;
