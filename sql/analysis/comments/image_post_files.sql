-- What image_post_files and its columns hold, for those who ask questions.
COMMENT ON VIEW image_post_files IS 'The same as it stands in the files: an event may come twice.';
COMMENT ON COLUMN image_post_files.hour
    IS 'Hour in UTC, e.g. 2026-11-23-19. Filter by it first: no other hour is read then.';
COMMENT ON COLUMN image_post_files.time_us
    IS 'When the Jetstream host told of it, in microseconds since 1970.';
COMMENT ON COLUMN image_post_files.seq IS 'Number of the event at that host, if it names one.';
COMMENT ON COLUMN image_post_files.host IS 'The Jetstream host.';
COMMENT ON COLUMN image_post_files.did IS 'DID of the account.';
COMMENT ON COLUMN image_post_files.collection
    IS 'Collection of the record; null for account events.';
COMMENT ON COLUMN image_post_files.rkey IS 'Key of the record.';
COMMENT ON COLUMN image_post_files.uri
    IS 'AT URI of the record; at:// and the DID for account events.';
COMMENT ON COLUMN image_post_files.cid IS 'CID of the record; null for deletes and account events.';
COMMENT ON COLUMN image_post_files.operation
    IS 'create, update, delete, or account_ and the state of the account.';
COMMENT ON COLUMN image_post_files.blob_cid
    IS 'CID of the image; null for deletes and account events.';
COMMENT ON COLUMN image_post_files.mime_type
    IS 'Type of the image as the record claims; not checked.';
COMMENT ON COLUMN image_post_files.size_bytes
    IS 'Size of the image as the record claims; not checked.';
COMMENT ON COLUMN image_post_files.position IS 'Place of the image in its record, from 0.';
COMMENT ON COLUMN image_post_files.embed_type
    IS 'How the record has the image: images, external, avatar and so on.';
COMMENT ON COLUMN image_post_files.created_at IS 'createdAt as the author wrote it; not checked.';
