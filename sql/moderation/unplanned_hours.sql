-- Which of these hours are matched with a rules version, and were not planned with it yet?
FROM partition_matches
ANTI JOIN partition_plans USING (partition_key, version)
SELECT partition_key
WHERE
    version = $version
    AND partition_key IN (SELECT unnest($partition_keys::VARCHAR[]))
ORDER BY partition_key;
