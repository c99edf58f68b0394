-- What are the totals?
FROM metric_totals
SELECT
    name,
    labels,
    total
ORDER BY ALL;
