"""Images: fetched safely, decoded, hashed; each ends in one recorded outcome."""
