-- What ozone_event_cursors and its columns hold, for those who ask questions.
COMMENT ON TABLE ozone_event_cursors
    IS 'Up to where the events of each labeler''s Ozone were read.';
COMMENT ON COLUMN ozone_event_cursors.labeler_did IS 'DID of the labeler.';
COMMENT ON COLUMN ozone_event_cursors.read_until
    IS 'Time of the last event read, by Ozone''s clock.';
COMMENT ON COLUMN ozone_event_cursors.caught_up_at IS 'When there was last nothing more to read.';
