-- Which of these posts were deleted, and which of these accounts are deleted, taken down, suspended
-- or deactivated, by the latest that the attached hours tell of them?
FROM image_posts
SELECT
    uri AS subject,
    arg_max(operation, time_us) AS operation
WHERE uri IN (SELECT unnest($uris))
GROUP BY uri
HAVING arg_max(operation, time_us) = 'delete'

UNION ALL

FROM image_posts
SELECT
    did AS subject,
    arg_max(operation, time_us) AS operation
WHERE did IN (SELECT unnest($dids)) AND operation LIKE 'account_%'
GROUP BY did
HAVING arg_max(operation, time_us) <> 'account_active';
