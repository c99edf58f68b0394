-- Records how the images of a batch stand, once their attempts are saved.
-- An image waits while it waits with any author. Once hashed it stays so: what fails later, in
-- another run or for another algorithm, takes nothing away.
-- A row that changes gets a new number: by it the snapshot for questions sees what is new.
INSERT INTO image_outcomes BY NAME
FROM (
    FROM batch_results
    WHERE outcome = 'hashed'
    UNION ALL BY NAME
    FROM image_attempts
    WHERE blob_cid IN (FROM batch_results SELECT blob_cid)
)
SELECT
    blob_cid,
    outcome,
    reason,
    1 AS attempts,
    next_retry_at,
    did AS last_did,
    max(tried_at) OVER (PARTITION BY blob_cid) AS updated_at,
    nextval('image_outcome_numbers') AS outcome_number
QUALIFY
    row_number() OVER (
        PARTITION BY blob_cid
        ORDER BY outcome = 'hashed' DESC, outcome = 'waiting' DESC, next_retry_at, tried_at DESC
    ) = 1
ON CONFLICT DO UPDATE SET
    outcome = excluded.outcome,
    reason = excluded.reason,
    attempts = image_outcomes.attempts + 1,
    next_retry_at = excluded.next_retry_at,
    last_did = excluded.last_did,
    updated_at = excluded.updated_at,
    outcome_number = excluded.outcome_number
WHERE image_outcomes.outcome <> 'hashed' OR excluded.outcome = 'hashed';
