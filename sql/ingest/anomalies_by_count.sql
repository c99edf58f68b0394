-- Which anomalies are there, the most frequent first? Strangers choose the types of embeds: the
-- hundred most frequent are shown.
FROM ingest_anomalies
ORDER BY
    count DESC,
    type
LIMIT 100;
