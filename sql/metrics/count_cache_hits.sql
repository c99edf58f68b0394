-- References to images, less those that an image was fetched for: these needed nothing.
-- While a run is at work its images may be counted as fetched and the references of its hours not
-- yet; the total never shrinks for that.
INSERT INTO metric_totals BY NAME
FROM metric_totals
SELECT
    'image_cache_hits' AS name,
    '{}' AS labels,
    greatest(
        coalesce(sum(total) FILTER (WHERE name = 'image_references'), 0)
        - coalesce(sum(total) FILTER (WHERE name = 'image_cache_misses'), 0),
        0
    )::BIGINT AS total
ON CONFLICT DO UPDATE SET total = greatest(metric_totals.total, excluded.total);
