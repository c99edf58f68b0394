-- How many hosts are left alone now? Those of the settings are named by their address.
FROM host_circuits
SELECT
    contains(host, '://') AS is_configured,
    count(*) AS hosts
WHERE open_until > $now
GROUP BY ALL;
