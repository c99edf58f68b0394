-- Which actions were taken because of the similar images, and what became of them?
FROM (
    FROM moderation_actions
    SELECT
        unnest(blob_cids) AS blob_cid,
        event,
        value,
        state
) AS taken
SEMI JOIN similar_images USING (blob_cid)
SELECT
    blob_cid,
    event,
    value,
    state,
    count(*) AS actions
GROUP BY ALL
ORDER BY ALL;
