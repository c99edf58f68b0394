-- Which rule hashes were wrong most often, as far as people said so?
-- Labels and takedowns that a person or an undo took back were wrong; the rest counts as right,
-- also where nobody looked. Ordered by the lower bound of the true share of right ones.
--
-- Parameters:
--   actions INTEGER = 1: actions of a hash at a distance, at least
--   most INTEGER = 50: rows
FROM rule_precision
SELECT
    rule_id,
    rule_hash,
    distance,
    actions,
    reversed_by_people,
    undone,
    appealed,
    round(precision, 3) AS precision,
    round(precision_low, 3) AS precision_low,
    last_sent
WHERE actions >= coalesce(getvariable('actions'), 1)::INTEGER
ORDER BY
    precision_low,
    rule_id,
    rule_hash,
    distance
LIMIT coalesce(getvariable('most'), 50)::INTEGER;
