-- Hashes wider than 64 bits, and what of an image was hashed.
-- `hash` holds the most significant 64 bits, `hash_2` to `hash_4` the rest; null where the hash is
-- not that wide. `rendition` is `original`, or what the CDN made of it, e.g. `feed_fullsize@jpeg`;
-- null in rows from before this column.
ALTER TABLE image_hashes ADD COLUMN hash_2 UBIGINT;
ALTER TABLE image_hashes ADD COLUMN hash_3 UBIGINT;
ALTER TABLE image_hashes ADD COLUMN hash_4 UBIGINT;
ALTER TABLE image_hashes ADD COLUMN rendition VARCHAR;
