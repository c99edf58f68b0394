-- Keeps what became of reading lists.
INSERT OR REPLACE INTO exempt_lists BY NAME
FROM read_lists;
