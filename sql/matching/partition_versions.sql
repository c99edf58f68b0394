-- Which rules version was each hour last matched with?
FROM partition_matches
SELECT
    partition_key,
    version;
