"""A person's DuckDB shell: runs what comes line by line, and answers a line of JSON each.

With --write it is opened as the `duckdb` command opens a file by default.
"""

import json
import sys

import duckdb

if __name__ == "__main__":
    path, *options = sys.argv[1:]
    connection = duckdb.connect(path, read_only="--write" not in options)
    print("[]", flush=True)
    for line in sys.stdin:
        print(json.dumps(connection.execute(line).fetchall(), default=str), flush=True)
    connection.close()
