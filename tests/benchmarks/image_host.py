"""Serves prebuilt JPEGs as a CDN would, cheaply, in a process of its own.

    python -m tests.benchmarks.image_host FOLDER --latency-ms 100

Prints its port. An image is chosen by its CID. Blobs whose author's DID is in the folder's file
`stalled.txt` are not on the CDN, and the PDS that the directory names for them never answers.
"""

import argparse
import asyncio
import contextlib
from pathlib import Path

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class ImageHost:
    """CDN at `/img/`, PLC directory at `/plc/`; both wait for `latency` seconds."""

    def __init__(self, folder: Path, latency: float) -> None:
        self._answers = [_answer(path.read_bytes()) for path in sorted(folder.glob("*.jpg"))]
        self._stalled = frozenset((folder / "stalled.txt").read_text().split())
        self._latency = latency
        self.stalling_port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if self._latency:
                    await asyncio.sleep(self._latency)
                writer.write(self._answer(head.split(b" ", 2)[1].decode()))
                await writer.drain()
        writer.close()

    async def stall(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a request and never answer."""
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    def _answer(self, path: str) -> bytes:
        if path.startswith("/plc/"):
            return _answer(self._document(path.removeprefix("/plc/")))
        if not path.startswith("/img/"):
            return NOT_FOUND
        *_, did, name = path.split("/")
        if did in self._stalled:
            return NOT_FOUND
        return self._answers[sum(name.encode()) % len(self._answers)]

    def _document(self, did: str) -> bytes:
        service = '{"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":'
        origin = f"http://127.0.0.1:{self.stalling_port}"
        return f'{{"id":"{did}","service":[{service}"{origin}"}}]}}'.encode()


def _answer(body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def _main(folder: Path, latency: float) -> None:
    host = ImageHost(folder, latency)
    stalling = await asyncio.start_server(host.stall, "127.0.0.1", 0)
    host.stalling_port = stalling.sockets[0].getsockname()[1]
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with *.jpg and stalled.txt")
    parser.add_argument("--latency-ms", type=float, default=0, help="wait before each answer")
    options = parser.parse_args()
    asyncio.run(_main(options.folder, options.latency_ms / 1000))
