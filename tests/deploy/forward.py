"""Lets containers reach what listens on this machine's loopback address."""

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

LOOPBACK: Final = "127.0.0.1"


def reached_at(address: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The same settings with this address in the place of the loopback one, which leads there.

    It does so until this process ends.
    """
    text = " ".join(settings.values())
    ports = {int(port) for port in re.findall(rf"{re.escape(LOOPBACK)}:(\d+)", text)}
    threading.Thread(target=lambda: asyncio.run(_forward(address, ports)), daemon=True).start()
    return {name: value.replace(LOOPBACK, address) for name, value in settings.items()}


async def _forward(address: str, ports: Iterable[int]) -> None:
    for port in ports:
        await asyncio.start_server(_to(port), address, port)
    await asyncio.Event().wait()


def _to(port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(LOOPBACK, port)
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))

    return connect


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side says so, too
    finally:
        writer.close()
