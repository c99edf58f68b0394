-- When was the snapshot taken, and which release made it?
CREATE TABLE snapshot.about_snapshot AS
SELECT
    $taken_at::TIMESTAMPTZ AS taken_at,
    $made_by AS made_by;
