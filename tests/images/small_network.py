"""A CDN, a PLC directory and any number of PDS hosts on loopback, for whole runs of `hash_hours`.

Unlike the sandbox each PDS has a port of its own, as each has a host name of its own in the world,
and any of them can be made to fail, stall or lie.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from phash_dagster.clock import utc_now
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import ImagePost, ImagePosts, Warehouse
from tests.images.hosts import answer
from tests.images.test_identity import SERVICE, document

STALL = "stall"
"""An answer that does not come before the network is told to `release` it."""

Answer = bytes | int | str
"""A body, a status, or `STALL`."""


class SmallNetwork:
    """Answers by what its public fields say; set them before the requests come.

    Attributes:
        cdn: What the CDN answers for a blob; what is not there is a 404.
        homes: On which PDS (a number) an account is, by DID.
        pds: What a PDS answers for whatever blob, by its number.
        requests: How often which blob was asked for at `cdn` or `pds 0`, and which DID at `plc`.
    """

    def __init__(self, hosts: int = 1) -> None:
        self.cdn: dict[str, Answer] = {}
        self.homes: dict[str, int] = {}
        self.pds: dict[int, Answer] = {}
        self.requests: Counter[tuple[str, str]] = Counter()
        self._ports: list[int] = []
        self._hosts = hosts
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def release(self) -> None:
        """Let the answers come that stall."""
        self._loop.call_soon_threadsafe(self._released.set)

    def asked(self, host: str) -> int:
        """Requests to a host so far."""
        return sum(count for (name, _), count in self.requests.items() if name == host)

    def environment(self, folder: Path) -> dict[str, str]:
        """The variables that make a pipeline use this network, without delays."""
        base = f"http://127.0.0.1:{self._ports[0]}"
        return {
            "CDN_ENDPOINT": f"{base}/cdn",
            "PLC_ENDPOINT": f"{base}/plc",
            "PDS_ENDPOINT": f"{base}/none",
            "ALLOW_PRIVATE_NETWORK": "true",
            "RETRY_ATTEMPTS": "1",
            "RETRY_DELAY_MS": "0",
            "DATA_DIR": str(folder),
        }

    def pds_name(self, number: int) -> str:
        """Name and port of a PDS."""
        return f"127.0.0.1:{self._ports[1 + number]}"

    async def _start(self) -> None:
        self._servers = [
            await asyncio.start_server(self._serve, "127.0.0.1", 0) for _ in range(1 + self._hosts)
        ]
        self._ports = [server.sockets[0].getsockname()[1] for server in self._servers]

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            port = writer.get_extra_info("sockname")[1]
            found = self._answer(head.split()[1].decode(), self._ports.index(port))
            if found == STALL:
                await self._released.wait()
                found = 404
            body = found if isinstance(found, bytes) else b""
            writer.write(answer(200 if body else int(found), body))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up
        finally:
            writer.close()

    def _answer(self, target: str, server: int) -> Answer:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if server:
            self.requests[f"pds {server - 1}", query["cid"][0]] += 1
            return self.pds.get(server - 1, 404)
        if path.startswith("/cdn/"):
            cid = path.rpartition("/")[2].partition("@")[0]
            self.requests["cdn", cid] += 1
            return self.cdn.get(cid, 404)
        if path.startswith("/plc/"):
            did = path.removeprefix("/plc/")
            self.requests["plc", did] += 1
            if did in self.homes:
                origin = f"http://{self.pds_name(self.homes[did])}"
                return document(did, [SERVICE | {"serviceEndpoint": origin}])
        return 404


class Run:
    """The images of one hour, and what became of them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.settings: Settings = settings_from(environment)
        self.warehouse = Warehouse(self.settings.warehouse_path)
        self.posts = ImagePosts(self.settings.image_posts_dir)
        self._batches = 0

    def post(self, images: Sequence[tuple[str, str]]) -> None:
        """Posts of one image each: blob CID and author."""
        self._batches += 1
        now = utc_now()
        rows = [
            ImagePost(
                time_us=int(now.timestamp() * 1_000_000) + number,
                seq=None,
                host="h",
                did=did,
                collection="app.bsky.feed.post",
                rkey=f"{self._batches}-{number}",
                uri=f"at://{did}/app.bsky.feed.post/{self._batches}-{number}",
                cid=f"record-{self._batches}-{number}",
                operation="create",
                blob_cid=cid,
            )
            for number, (cid, did) in enumerate(images)
        ]
        self.posts.write_batch(rows, start=str(self._batches), now=now)

    def query(self, text: str) -> list[tuple[object, ...]]:
        with self.warehouse.read() as connection:
            return connection.execute(text).fetchall()

    def outcomes(self) -> dict[str, str]:
        """The outcome of every blob that has one."""
        rows = self.query("FROM image_outcomes SELECT blob_cid, outcome")
        return {str(cid): str(outcome) for cid, outcome in rows}


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for a condition; fail after so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.1)  # who looks more often keeps the writer of the database out
