-- How many images stand how, and of how many was the next attempt due by $overdue_since?
FROM image_outcomes
SELECT
    outcome,
    count(*) AS images,
    count(*) FILTER (WHERE outcome = 'waiting' AND next_retry_at < $overdue_since) AS overdue
GROUP BY ALL;
