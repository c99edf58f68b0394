-- What became of sent actions at the labeler, as Ozone's events tell: one row per action and event.
-- outcome: label_negated, takedown_reversed (taken back); label_confirmed, takedown_confirmed (a
-- person did the same, perhaps again); appealed, appeal_resolved. by_did did it; by_kind is people,
-- pipeline (an undo) or schedule (a label or takedown that had an end).
CREATE TABLE action_outcomes (
    action_id BIGINT NOT NULL,
    ozone_event_id BIGINT NOT NULL,
    outcome VARCHAR NOT NULL,
    by_did VARCHAR NOT NULL,
    by_kind VARCHAR NOT NULL,
    happened_at TIMESTAMPTZ NOT NULL,
    comment VARCHAR,
    PRIMARY KEY (action_id, ozone_event_id)
);

-- Up to which time, by its own clock, the events of each labeler's Ozone were read, and when there
-- was last nothing more to read.
CREATE TABLE ozone_event_cursors (
    labeler_did VARCHAR PRIMARY KEY,
    read_until TIMESTAMPTZ NOT NULL,
    caught_up_at TIMESTAMPTZ
);
