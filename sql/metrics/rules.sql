-- Which rules are in force: how many, how many hashes to look for, how often and when were they
-- loaded?
SELECT
    (
        FROM rule_hashes
        SELECT count(DISTINCT rule_id)
        WHERE version = (FROM version_in_force SELECT version)
    ) AS rules,
    (FROM hashes_in_force SELECT count(*) WHERE set_aside IS NULL) AS active,
    (FROM hashes_in_force SELECT count(*) WHERE set_aside IS NOT NULL) AS set_aside,
    (FROM rule_loads SELECT coalesce(max(load_number), 0)) AS loads,
    (FROM rule_loads SELECT epoch(arg_max(loaded_at, load_number))) AS loaded_at;
