-- What image_posts and its columns hold, for those who ask questions.
COMMENT ON VIEW image_posts
    IS 'Images as posts have them, each once an hour; also deletes and account events.';
COMMENT ON COLUMN image_posts.hour
    IS 'Hour in UTC, e.g. 2026-11-23-19. Filter by it first: no other hour is read then.';
COMMENT ON COLUMN image_posts.seen_at IS 'When the Jetstream host told of it.';
COMMENT ON COLUMN image_posts.time_us
    IS 'When the Jetstream host told of it, in microseconds since 1970.';
COMMENT ON COLUMN image_posts.seq IS 'Number of the event at that host, if it names one.';
COMMENT ON COLUMN image_posts.host IS 'The Jetstream host.';
COMMENT ON COLUMN image_posts.did IS 'DID of the account.';
COMMENT ON COLUMN image_posts.collection IS 'Collection of the record; null for account events.';
COMMENT ON COLUMN image_posts.rkey IS 'Key of the record.';
COMMENT ON COLUMN image_posts.uri IS 'AT URI of the record; at:// and the DID for account events.';
COMMENT ON COLUMN image_posts.cid IS 'CID of the record; null for deletes and account events.';
COMMENT ON COLUMN image_posts.operation
    IS 'create, update, delete, or account_ and the state of the account.';
COMMENT ON COLUMN image_posts.blob_cid IS 'CID of the image; null for deletes and account events.';
COMMENT ON COLUMN image_posts.mime_type IS 'Type of the image as the record claims; not checked.';
COMMENT ON COLUMN image_posts.size_bytes IS 'Size of the image as the record claims; not checked.';
COMMENT ON COLUMN image_posts.position IS 'Place of the image in its record, from 0.';
COMMENT ON COLUMN image_posts.embed_type
    IS 'How the record has the image: images, external, avatar and so on.';
COMMENT ON COLUMN image_posts.created_at IS 'createdAt as the author wrote it; not checked.';
