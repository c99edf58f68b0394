-- Which rules version the actions of each hour were last planned with. An hour can be matched and
-- its actions not planned: when planning failed, or when a person launched the matching alone.
CREATE TABLE partition_plans (
    partition_key VARCHAR PRIMARY KEY,
    version VARCHAR NOT NULL,
    planned_at TIMESTAMPTZ NOT NULL
);

-- Earlier releases did not record it, and took matching for both.
INSERT INTO partition_plans BY NAME
FROM partition_matches
SELECT
    partition_key,
    version,
    matched_at AS planned_at;
