"""What keeps the files from growing for ever: expiry of posts, space in DuckDB, old reports.

Nothing here is lost by a crash: what is to go is first set aside, under a name that nobody reads,
and the next maintenance goes on with what it finds there.
"""
