-- What became of sent actions in Ozone, and who did it?
FROM action_outcomes
SELECT
    outcome,
    by_kind,
    count(*) AS actions
GROUP BY ALL;
