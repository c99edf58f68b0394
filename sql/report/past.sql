-- How many hours of posts are there, and how many have the rules in force been through?
WITH hours AS (
    FROM partition_matches
    FULL JOIN partition_plans USING (partition_key)
    SELECT
        partition_matches.version AS matched_with,
        partition_plans.version AS planned_with
)

FROM hours
SELECT
    count(*) AS hours,
    count(*) FILTER (matched_with = (FROM version_in_force SELECT version)) AS matched,
    count(*) FILTER (planned_with = (FROM version_in_force SELECT version)) AS planned;
