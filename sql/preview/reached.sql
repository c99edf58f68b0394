-- Which images of posts, as these stand now, are how near to which hashes of the rules under
-- preview, and is that within the rule's threshold?
CREATE OR REPLACE TEMP TABLE reached AS
FROM current_matches
INNER JOIN previewed_hashes USING (rule_id, rule_hash)
LEFT JOIN image_posts
    ON
        image_posts.uri = current_matches.uri
        AND image_posts.cid = current_matches.cid
        AND image_posts.blob_cid = current_matches.blob_cid
SELECT
    current_matches.uri,
    current_matches.did,
    current_matches.blob_cid,
    previewed_hashes.rule_id,
    previewed_hashes.rule_hash,
    current_matches.distance,
    current_matches.distance <= previewed_hashes.threshold AS within,
    list_contains(previewed_hashes.ignored_dids, current_matches.did) AS ignored,
    current_matches.quality < $min_quality AS plain,
    make_timestamptz(image_posts.time_us) AS posted_at;
