-- Which actions are there because of this image, by what they do and what became of them?
FROM moderation_actions
SELECT
    event,
    value,
    state,
    rule_id,
    count(*) AS actions,
    count(DISTINCT subject_did) AS accounts
WHERE list_contains(blob_cids, $blob_cid)
GROUP BY ALL
ORDER BY ALL;
