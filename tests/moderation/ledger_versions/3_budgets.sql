-- With backfills, hours of rule hashes and quarantine (1f45d5c).
-- What it made of an empty database, and rows as it wrote them.

CREATE TABLE backfill_batches (
    batch_id VARCHAR NOT NULL, state VARCHAR NOT NULL, posts INTEGER NOT NULL,
    accounts INTEGER NOT NULL, images BIGINT NOT NULL, reason VARCHAR, evaluated_at {time} NOT NULL,
    reviewed_at {time}, reviewed_by VARCHAR, PRIMARY KEY (batch_id)
);

CREATE TABLE moderation_actions (
    action_id {key}, external_id VARCHAR NOT NULL, subject_uri VARCHAR,
    subject_did VARCHAR NOT NULL, subject_cid VARCHAR, source_uri VARCHAR NOT NULL,
    blob_cids JSON NOT NULL, event VARCHAR NOT NULL, value VARCHAR NOT NULL,
    rule_id VARCHAR NOT NULL, rule_version VARCHAR NOT NULL, rule_hash VARCHAR NOT NULL,
    distance INTEGER NOT NULL, comment VARCHAR NOT NULL, report_reason VARCHAR,
    lane VARCHAR NOT NULL, mode VARCHAR NOT NULL, state VARCHAR NOT NULL, reason VARCHAR,
    attempts INTEGER NOT NULL, failed_runs INTEGER DEFAULT '0' NOT NULL, undoes BIGINT,
    review VARCHAR, reviewed_at {time}, reviewed_by VARCHAR, settled_at {time},
    ozone_event_id BIGINT, batch_id VARCHAR NOT NULL, run_id VARCHAR NOT NULL,
    planned_at {time} NOT NULL, sent_at {time}, updated_at {time} NOT NULL, UNIQUE (external_id)
);
CREATE INDEX moderation_actions_batch ON moderation_actions (batch_id);
CREATE INDEX moderation_actions_claim ON moderation_actions (subject_did, event, value);
CREATE INDEX moderation_actions_planned ON moderation_actions (planned_at);
CREATE INDEX moderation_actions_state ON moderation_actions (state, action_id);
CREATE INDEX moderation_actions_updated ON moderation_actions (updated_at);

CREATE TABLE quarantined_hashes (
    rule_id VARCHAR NOT NULL, rule_hash VARCHAR NOT NULL, since {time} NOT NULL,
    reason VARCHAR NOT NULL, lifted_at {time}, lifted_by VARCHAR, PRIMARY KEY (rule_id, rule_hash)
);

CREATE TABLE rule_hash_hours (
    rule_id VARCHAR NOT NULL, rule_hash VARCHAR NOT NULL, hour {time} NOT NULL,
    posts INTEGER NOT NULL, PRIMARY KEY (rule_id, rule_hash, hour)
);

-- Sent, planned and held; the latter two wait for what comes after.
INSERT INTO moderation_actions (
    external_id, subject_uri, subject_did, subject_cid, source_uri, blob_cids, event, value,
    rule_id, rule_version, rule_hash, distance, comment, lane, mode, state, reason, attempts,
    ozone_event_id, batch_id, run_id, planned_at, sent_at, updated_at
) VALUES
    (
        'external-sent', 'at://did:plc:author/app.bsky.feed.post/sent', 'did:plc:author',
        'bafyreisent', 'at://did:plc:author/app.bsky.feed.post/sent', '["bafkreione"]',
        'label', 'troll', 'rule-1', 'version-1', '0707070707070707', 2, 'a comment', 'live',
        'live', 'sent', NULL, 1, 17, 'batch-1', 'run-1',
        '2026-11-23 19:15:00.000000', '2026-11-23 20:00:00.000000', '2026-11-23 20:00:00.000000'
    ),
    (
        'external-planned', 'at://did:plc:author/app.bsky.feed.post/planned', 'did:plc:author',
        'bafyreiplanned', 'at://did:plc:author/app.bsky.feed.post/planned', '["bafkreione"]',
        'label', 'troll', 'rule-1', 'version-1', '0707070707070707', 2, 'a comment', 'live',
        'live', 'planned', NULL, 0, NULL, 'batch-1', 'run-1',
        '2026-11-23 19:15:00.000000', NULL, '2026-11-23 20:00:00.000000'
    ),
    (
        'external-held', 'at://did:plc:author/app.bsky.feed.post/held', 'did:plc:author',
        'bafyreiheld', 'at://did:plc:author/app.bsky.feed.post/held', '["bafkreione"]',
        'label', 'troll', 'rule-1', 'version-1', '0707070707070707', 2, 'a comment', 'live',
        'live', 'held', 'over the budget', 0, NULL, 'batch-1', 'run-1',
        '2026-11-23 19:15:00.000000', NULL, '2026-11-23 20:00:00.000000'
    );

-- A label that a person let through, and the event that takes it back.
UPDATE moderation_actions
SET review = 'released', reviewed_at = '2026-11-23 19:50:00.000000', reviewed_by = 'ana',
    failed_runs = 1
WHERE external_id = 'external-sent';
INSERT INTO moderation_actions (
    external_id, subject_uri, subject_did, subject_cid, source_uri, blob_cids, event, value,
    rule_id, rule_version, rule_hash, distance, comment, lane, mode, state, attempts, undoes,
    settled_at, batch_id, run_id, planned_at, updated_at
) VALUES
    (
        'external-undone', 'at://did:plc:author/app.bsky.feed.post/undone', 'did:plc:author',
        'bafyreiundone', 'at://did:plc:author/app.bsky.feed.post/undone', '["bafkreione"]',
        'negate_label', 'troll', 'rule-1', 'version-1', '0707070707070707', 2, 'a comment', 'live',
        'live', 'suppressed', 0, 1, '2026-11-23 20:00:00.000000', 'undo-1', 'run-1',
        '2026-11-23 19:15:00.000000', '2026-11-23 20:00:00.000000'
    );

INSERT INTO backfill_batches VALUES (
    'backfill-1', 'held', 120, 90, 4000, 'reaches 120 posts', '2026-11-23 19:15:00.000000',
    NULL, NULL
);
INSERT INTO rule_hash_hours VALUES
    ('rule-1', '0707070707070707', '2026-11-23 19:00:00.000000', 12);
INSERT INTO quarantined_hashes VALUES
    ('rule-2', '1f1f1f1f1f1f1f1f', '2026-11-23 19:00:00.000000', 'a flood', NULL, NULL);
