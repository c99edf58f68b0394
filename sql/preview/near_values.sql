-- Which of the values did the matching find near a rule hash?
FROM image_hashes
SEMI JOIN rule_matches USING (blob_cid)
SELECT DISTINCT hash;
