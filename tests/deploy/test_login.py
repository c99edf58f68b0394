"""The proxies of deploy/login, as real processes in front of something that tells what it gets."""

import base64
import http.client
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.ports import free_port
from tests.programs import needed

LOGIN = Path(__file__).parents[2] / "deploy" / "login"
USER, PASSWORD = "alice", "correct horse battery staple"

pytestmark = pytest.mark.slow


@dataclass
class Upstream:
    """Stands for the web server; keeps the headers of what reaches it."""

    port: int
    seen: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.seen.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Upstream(server.server_address[1])
    Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@contextmanager
def running(command: list[str], port: int, folder: Path, **more: str) -> Iterator[None]:
    log = folder / "proxy.log"
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), **more}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def caddy(folder: Path, upstream: Upstream) -> Iterator[int]:
    program = needed("caddy")
    port = free_port()
    shutil.copyfile(LOGIN / "Caddyfile", folder / "Caddyfile")
    hashed = subprocess.run(
        [program, "hash-password", "--plaintext", PASSWORD],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(folder)},
    ).stdout.strip()
    (folder / "users").write_text(f"{USER} {hashed}\n")
    command = [program, "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
    where = {
        "SITE": f"http://127.0.0.1:{port}",
        "UPSTREAM": f"127.0.0.1:{upstream.port}",
        "CADDY_ADMIN": f"127.0.0.1:{free_port()}",
    }
    with running(command, port, folder, **where):
        yield port


@contextmanager
def nginx(folder: Path, upstream: Upstream) -> Iterator[int]:
    program = needed("nginx", package="nginx-light")
    port = free_port()
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", PASSWORD], capture_output=True, text=True, check=True
    ).stdout.strip()
    (folder / "people").write_text(f"{USER}:{hashed}\n")
    site = (LOGIN / "nginx.conf").read_text(encoding="utf-8")
    # The certificate and the addresses are the operator's.
    kept = [line for line in site.splitlines() if "ssl_certificate" not in line]
    site = (
        "\n".join(kept)
        .replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
        .replace("listen [::]:443 ssl;", "")
        .replace("/etc/nginx/phash-dagster.htpasswd", str(folder / "people"))
        .replace("http://127.0.0.1:3000", f"http://127.0.0.1:{upstream.port}")
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{folders}\n{site}\n}}\n"
    )
    with running([program, "-p", str(folder), "-c", str(folder / "nginx.conf")], port, folder):
        yield port


Proxy = Callable[[Path, Upstream], AbstractContextManager[int]]


def ask(port: int, password: str | None, **headers: str) -> http.client.HTTPResponse:
    if password is not None:
        token = base64.b64encode(f"{USER}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/graphql", headers=headers)
    return connection.getresponse()


@pytest.mark.parametrize("proxy", [caddy, nginx], ids=["caddy", "nginx"])
def test_nobody_gets_through_without_the_password(
    proxy: Proxy, upstream: Upstream, tmp_path: Path
) -> None:
    with proxy(tmp_path, upstream) as port:
        assert ask(port, None).status == 401
        assert ask(port, "wrong").status == 401
        assert upstream.seen == []
        answer = ask(port, PASSWORD)
        assert (answer.status, answer.read()) == (200, b"ok")
        assert "authorization" not in upstream.seen[0] or not upstream.seen[0]["authorization"]
        assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("proxy", [caddy, nginx], ids=["caddy", "nginx"])
def test_the_websocket_of_the_ui_gets_through(
    proxy: Proxy, upstream: Upstream, tmp_path: Path
) -> None:
    with proxy(tmp_path, upstream) as port:
        ask(port, PASSWORD, Upgrade="websocket", Connection="Upgrade")
    [seen] = upstream.seen
    assert seen["upgrade"] == "websocket"
    assert seen["connection"].lower() == "upgrade"
