-- Up to when were the events of this labeler's Ozone read, and when was there nothing more to read?
FROM ozone_event_cursors
SELECT
    read_until,
    caught_up_at
WHERE labeler_did = $labeler_did;
