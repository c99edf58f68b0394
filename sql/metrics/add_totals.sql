-- Adds to totals.
INSERT INTO metric_totals BY NAME
SELECT
    unnest($names::VARCHAR[]) AS name,
    unnest($labels::VARCHAR[]) AS labels,
    unnest($totals::BIGINT[]) AS total
ON CONFLICT DO UPDATE SET total = metric_totals.total + excluded.total;
