"""Groups of commands of `phash-dagster`. They parse and print; the work is done elsewhere."""
