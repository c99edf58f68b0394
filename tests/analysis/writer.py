"""A pipeline that writes all the time: the same to two tables in each transaction.

Prints how often it wrote once it is told to stop, and how long it waited at most, in seconds.
"""

import json
import sys
import threading
import time
from pathlib import Path

import stamina

from phash_dagster.warehouse import Warehouse

if __name__ == "__main__":
    stamina.instrumentation.set_on_retry_hooks([])
    warehouse = Warehouse(Path(sys.argv[1]))
    stop = threading.Event()

    def wait_for_a_line() -> None:
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=wait_for_a_line, daemon=True).start()
    number, longest = 0, 0.0
    while not stop.is_set():
        start = time.perf_counter()
        with warehouse.write() as connection:
            longest = max(longest, time.perf_counter() - start)
            cid = f"written-{number}"
            connection.execute(
                "INSERT INTO image_hashes (blob_cid, algorithm, hash, quality, width, height, "
                "format, source, hasher_version, hashed_at) "
                "VALUES ($1, 'average', 1, 50, 1, 1, 'jpeg', 'cdn', 'test', now())",
                [cid],
            )
            connection.execute(
                "INSERT INTO image_outcomes (blob_cid, outcome, attempts, last_did, updated_at) "
                "VALUES ($1, 'hashed', 1, 'did:plc:a', now())",
                [cid],
            )
            connection.execute(
                "INSERT INTO partition_matches VALUES ($1, 'v', now())", [f"{number:06}"]
            )
        number += 1
        time.sleep(0.02)  # as the pipeline, it is not always at it
        if number == 1:
            print("[]", flush=True)
    print(json.dumps([number, longest]), flush=True)
