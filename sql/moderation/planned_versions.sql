-- Which rules version were the actions of each hour last planned with?
FROM partition_plans
SELECT
    partition_key,
    version;
