-- What exempt_lists and its columns hold, for those who ask questions.
COMMENT ON TABLE exempt_lists
    IS 'The lists in EXEMPT_LISTS, and what became of reading each.';
COMMENT ON COLUMN exempt_lists.list_uri IS 'AT URI of the list.';
COMMENT ON COLUMN exempt_lists.read_at IS 'When all members were last read; null: never.';
COMMENT ON COLUMN exempt_lists.members IS 'How many members it had then.';
COMMENT ON COLUMN exempt_lists.tried_at IS 'When it was last tried.';
COMMENT ON COLUMN exempt_lists.problem
    IS 'Why the last attempt changed nothing; null: it succeeded.';
