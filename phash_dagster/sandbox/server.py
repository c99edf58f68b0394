"""The sandbox as a whole: the services on loopback, in a background thread of this process."""

import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from phash_dagster.clock import Clock, utc_now
from phash_dagster.sandbox.cdn import cdn_app
from phash_dagster.sandbox.jetstream import JetstreamHost
from phash_dagster.sandbox.jetstream_position import Numbering
from phash_dagster.sandbox.jetstream_v2 import NSID
from phash_dagster.sandbox.ozone import ozone_app
from phash_dagster.sandbox.pds import pds_app
from phash_dagster.sandbox.plc import plc_app
from phash_dagster.sandbox.traffic import Monitored, Service
from phash_dagster.sandbox.world import World

HOST = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 10.0
FALLBACK_CLOCK_SKEW_US = 250_000
_POLL_SECONDS = 0.005


class SandboxError(RuntimeError):
    """The server did not start or did not stop."""


class Sandbox:
    """A small AT Protocol network on loopback.

    Jetstream (two hosts), CDN, PDS, PLC directory and Ozone, at three ports that the operating
    system chooses and that stay the same over a stop and a new start. Script it through `world`;
    `jetstream` and `jetstream_fallback` misbehave when they are told to.

    Args:
        seed: Decides the DIDs and passwords.
        clock: Stamps events.

    Examples:
        >>> with Sandbox() as sandbox:
        ...     author = sandbox.world.create_account("author.test")
        ...     post = sandbox.world.publish_post(author, text="hello")
    """

    def __init__(self, *, seed: int = 0, clock: Clock = utc_now) -> None:
        self.world = World(seed=seed, clock=clock)
        events, traffic = self.world.events, self.world.traffic
        self.jetstream = JetstreamHost(events, traffic)
        self.jetstream_fallback = JetstreamHost(
            events,
            traffic,
            "jetstream_fallback",
            numbering=Numbering(clock_skew_us=FALLBACK_CLOCK_SKEW_US),
        )
        self._ports = (0, 0, 0)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._sockets: list[socket.socket] = []

    def start(self) -> None:
        """Serve. Returns once every service answers.

        Raises:
            SandboxError: It is running already, or does not come up.
        """
        if self._thread is not None:
            raise SandboxError("the sandbox is running already: stop it first")
        self._sockets = [_listen(port) for port in self._ports]
        first, second, pds = (listening.getsockname()[1] for listening in self._sockets)
        self._ports = (first, second, pds)
        self.world.origin, self.world.pds_url = self.origin, self.pds_url
        server = uvicorn.Server(
            uvicorn.Config(
                self._application(),
                ws=_Protocol,
                loop="asyncio",
                log_config=None,
                log_level="critical",
                access_log=False,
                ws_ping_interval=30,
                timeout_graceful_shutdown=1,
            )
        )
        thread = threading.Thread(
            target=server.run, args=(self._sockets,), name="sandbox", daemon=True
        )
        self._server, self._thread = server, thread
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise SandboxError(f"the sandbox did not start within {START_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop serving, close every connection and wait for the thread; the world is kept.

        Raises:
            SandboxError: The thread does not end.
        """
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            raise SandboxError(f"the sandbox did not stop within {STOP_SECONDS:g} s")
        for listening in self._sockets:
            listening.close()
        self._server, self._thread, self._sockets = None, None, []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def origin(self) -> str:
        """Address of the server; most services are below it."""
        return f"http://{HOST}:{self._ports[0]}"

    @property
    def jetstream_url(self) -> str:
        """Address of the first Jetstream host."""
        return f"ws://{HOST}:{self._ports[0]}/jetstream/subscribe"

    @property
    def jetstream_fallback_url(self) -> str:
        """Address of the second: the same events, by another clock, on another port."""
        return f"ws://{HOST}:{self._ports[1]}/jetstream-fallback/subscribe"

    @property
    def jetstream_v2_url(self) -> str:
        """Version 2 of the wire at the first host."""
        return f"ws://{HOST}:{self._ports[0]}/xrpc/{NSID}"

    @property
    def jetstream_fallback_v2_url(self) -> str:
        """Version 2 of the wire at the second host."""
        return f"ws://{HOST}:{self._ports[1]}/xrpc/{NSID}"

    @property
    def cdn_url(self) -> str:
        """Address of the CDN."""
        return f"{self.origin}/cdn"

    @property
    def plc_url(self) -> str:
        """Address of the PLC directory."""
        return f"{self.origin}/plc"

    @property
    def pds_url(self) -> str:
        """Address of the PDS, through which Ozone is reached; an origin, as every PDS has."""
        return f"http://{HOST}:{self._ports[2]}"

    @property
    def ozone_url(self) -> str:
        """Address of Ozone itself."""
        return f"{self.origin}/ozone"

    def settings_environment(self) -> dict[str, str]:
        """The environment variables that point the pipeline at this network."""
        automod = self.world.automod
        return {
            "JETSTREAM_URL": self.jetstream_url,
            "JETSTREAM_FALLBACK_URLS": self.jetstream_fallback_url,
            "CDN_ENDPOINT": self.cdn_url,
            "PLC_ENDPOINT": self.plc_url,
            "PLC_FALLBACK_ENDPOINTS": "",
            "PDS_ENDPOINT": self.pds_url,
            "OZONE_URL": self.ozone_url,
            "OZONE_PDS": self.pds_url,
            "LABELER_DID": self.world.labeler_did,
            "AUTOMOD_HANDLE": automod.handle,
            "AUTOMOD_PASSWORD": automod.password,
            "ALLOW_PRIVATE_NETWORK": "true",
        }

    def _application(self) -> Starlette:
        world = self.world
        pds = pds_app(world)
        services: dict[Service, ASGIApp] = {
            "jetstream": self.jetstream.app(),
            "jetstream_fallback": self.jetstream_fallback.app(),
            "cdn": cdn_app(world),
            "pds": pds,
            "plc": plc_app(world),
            "ozone": ozone_app(world),
        }
        monitored = {name: Monitored(app, name, world.traffic) for name, app in services.items()}
        # The PDS has its port alone: the pipeline takes none that a DID document names with a path.
        routes: list[BaseRoute] = [
            Mount(f"/{name.replace('_', '-')}", app=app)
            for name, app in monitored.items()
            if name != "pds"
        ]
        with_port: tuple[Service, ...] = ("jetstream", "jetstream_fallback", "pds")

        async def xrpc(scope: Scope, receive: Receive, send: Send) -> None:
            """XRPC methods have no other path than theirs, so each host has a port for them."""
            app = monitored[with_port[self._ports.index(scope["server"][1])]]
            await app(scope, receive, send)

        routes.append(Mount("", app=xrpc))

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            # Mounted applications are not started by the one that mounts them.
            async with pds.router.lifespan_context(app):
                yield

        return Starlette(routes=routes, lifespan=lifespan)


class _Protocol(WebSocketsSansIOProtocol):
    """As uvicorn speaks it, but for version 2 of Jetstream, which knows no permessage-deflate."""

    def handle_connect(self, event: Request) -> None:
        if urlsplit(event.path).path.endswith(NSID):
            self.conn.available_extensions = []
        super().handle_connect(event)


def _listen(port: int) -> socket.socket:
    # With the protocol named, asyncio turns off the delay that else costs 40 ms a request.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    return listening
