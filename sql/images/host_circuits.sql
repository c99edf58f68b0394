-- Which hosts failed lately, how often in a row, and until when are they not asked?
FROM host_circuits
SELECT
    host,
    failures,
    open_until
WHERE updated_at >= $since;
