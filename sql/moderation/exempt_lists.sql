-- What became of reading these lists?
FROM exempt_lists
SELECT
    list_uri,
    read_at,
    members,
    tried_at,
    problem
WHERE list_uri IN (SELECT unnest($lists))
ORDER BY list_uri;
