-- When was the snapshot taken, and by which statements was it made?
FROM about_snapshot
SELECT
    taken_at,
    made_by;
