-- Keeps up to when the events of a labeler's Ozone were read.
INSERT OR REPLACE INTO ozone_event_cursors (labeler_did, read_until, caught_up_at)
VALUES ($labeler_did, $read_until, $caught_up_at);
