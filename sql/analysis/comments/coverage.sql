-- What coverage and its columns hold, for those who ask questions.
COMMENT ON VIEW coverage IS 'How the images of each hour stand by now; the parts add up to seen.';
COMMENT ON COLUMN coverage.hour
    IS 'Hour in UTC, e.g. 2026-11-23-19. Filter by it first: no other hour is read then.';
COMMENT ON COLUMN coverage.seen IS 'Distinct images posted in that hour.';
COMMENT ON COLUMN coverage.hashed IS 'Have a hash.';
COMMENT ON COLUMN coverage.unsupported IS 'Are no image format that is read.';
COMMENT ON COLUMN coverage.too_large IS 'Have too many bytes or pixels.';
COMMENT ON COLUMN coverage.not_found IS 'Are gone.';
COMMENT ON COLUMN coverage.corrupt IS 'Cannot be decoded.';
COMMENT ON COLUMN coverage.blocked IS 'Are at an address that is not asked.';
COMMENT ON COLUMN coverage.cid_mismatch IS 'Came with bytes that are not those of the CID.';
COMMENT ON COLUMN coverage.gave_up IS 'Could not be had for over a day.';
COMMENT ON COLUMN coverage.waiting IS 'Wait for another attempt.';
COMMENT ON COLUMN coverage.untried IS 'Were not tried yet.';
