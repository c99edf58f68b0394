-- The outcomes of images that have no hash. They change often and are few, so they are copied.
CREATE TABLE snapshot.unhashed_outcomes AS
FROM warehouse.image_outcomes
SELECT *
WHERE outcome <> 'hashed';
