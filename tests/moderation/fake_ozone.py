"""A PDS with an Ozone behind it, as far as sending events goes, answering as the real ones do."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx
from pydantic import SecretStr

from phash_dagster.moderation.pds_session import OzoneAccount

PASSWORD = "app-pass-word-1234"
ACCOUNT = OzoneAccount("https://pds.test", "automod.test", SecretStr(PASSWORD), "did:plc:labeler")
AUTOMOD_DID = "did:plc:automod"
EMIT = "tools.ozone.moderation.emitEvent"
QUERY = "tools.ozone.moderation.queryEvents"
LABELS = "com.atproto.label.queryLabels"
LOGIN = "com.atproto.server.createSession"
REFRESH = "com.atproto.server.refreshSession"
FAR_AWAY = 4_000_000_000

Json = dict[str, Any]
Moment = Literal["arrived", "applied"]


@dataclass
class Answer:
    status: int
    body: Json | bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    method: str
    headers: Mapping[str, str]
    body: Json


def refusal(status: int, error: str, message: str = "", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"error": error, "message": message}, named)


class FakeOzone:
    """Keeps accepted events. `script` holds what the next calls of a method answer instead."""

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.calls: list[Call] = []
        self.script: dict[str, list[Answer | Exception]] = {}
        self.taken_down: set[str] = set()
        self.labels: list[Json] = []
        self.valid_tokens: set[str] = set()
        self.refresh_tokens: set[str] = set()
        self.expires_at: float = FAR_AWAY
        """When the access tokens that are issued from now on expire, in unix seconds."""
        self._external_ids: set[tuple[str, str, str]] = set()
        self._lock = Lock()

    def methods(self) -> list[str]:
        return [call.method for call in self.calls]

    def fail_next(self, method: str, *answers: Answer | Exception) -> None:
        self.script.setdefault(method, []).extend(answers)

    def transport(self) -> httpx.MockTransport:
        def handle(request: httpx.Request) -> httpx.Response:
            method = request.url.path.rpartition("/")[2]
            query = request.url.query.decode()
            answer = self.call(method, query, request.headers, request.content)
            if isinstance(answer.body, bytes):
                return httpx.Response(answer.status, content=answer.body, headers=answer.headers)
            return httpx.Response(answer.status, json=answer.body, headers=answer.headers)

        return httpx.MockTransport(handle)

    def call(self, method: str, query: str, headers: Mapping[str, str], content: bytes) -> Answer:
        body = json.loads(content) if content else {}
        with self._lock:
            self.calls.append(Call(method, headers, body))
            if scripted := self.script.get(method):
                answer = scripted.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer
            return self._methods(method, query, headers, body)

    def _methods(self, method: str, query: str, headers: Mapping[str, str], body: Json) -> Answer:
        if method == LOGIN:
            return self._login(body)
        if method == REFRESH:
            return self._refresh(_bearer(headers))
        if _bearer(headers) not in self.valid_tokens:
            return refusal(400, "ExpiredToken", "Token has expired")
        if headers.get("atproto-proxy") != f"{ACCOUNT.labeler_did}#atproto_labeler":
            return refusal(400, "InvalidRequest", "could not resolve proxy did")
        if method == EMIT:
            return self._emit(body)
        parameters = parse_qs(query)
        return self._labels(parameters) if method == LABELS else self._query(parameters)

    def _login(self, body: Json) -> Answer:
        if body["password"] != PASSWORD:
            return refusal(401, "AuthenticationRequired", "Invalid identifier or password")
        return self._session()

    def _refresh(self, token: str) -> Answer:
        if token not in self.refresh_tokens:
            return refusal(400, "ExpiredToken", "Token has been revoked")
        self.refresh_tokens.discard(token)
        return self._session()

    def _session(self) -> Answer:
        access = _token(len(self.calls), self.expires_at)
        refresh = _token(-len(self.calls), FAR_AWAY)
        self.valid_tokens.add(access)
        self.refresh_tokens.add(refresh)
        session = {"accessJwt": access, "refreshJwt": refresh}
        return Answer(200, session | {"handle": ACCOUNT.handle, "did": AUTOMOD_DID})

    def _emit(self, body: Json) -> Answer:
        kind, subject = body["event"]["$type"], body["subject"]
        author = subject.get("did") or subject["uri"].split("/")[2]
        key = (kind, body["externalId"], author)
        if key in self._external_ids:
            return refusal(400, "DuplicateExternalId", "An event with this externalId exists")
        if kind.endswith("modEventTakedown"):
            name = subject.get("uri") or subject["did"]
            if name in self.taken_down:
                return refusal(400, "InvalidRequest", "Subject is already taken down")
            self.taken_down.add(name)
        self._external_ids.add(key)
        event = body | {"id": len(self.events) + 1, "createdAt": "2026-11-23T20:15:00.000Z"}
        self.events.append(event)
        return Answer(200, {k: v for k, v in event.items() if k != "externalId"})

    def _labels(self, parameters: Mapping[str, list[str]]) -> Answer:
        found = [label for label in self.labels if label["uri"] in parameters["uriPatterns"]]
        return Answer(200, {"labels": found[: int(parameters["limit"][0])]})

    def _query(self, parameters: Mapping[str, list[str]]) -> Answer:
        def wanted(event: Json) -> bool:
            subject = event["subject"].get("uri") or event["subject"]["did"]
            return (
                [subject] == parameters["subject"]
                and event["event"]["$type"] in parameters["types"]
                and event["modTool"]["name"] in parameters["modTool"]
            )

        return Answer(200, {"events": [event for event in self.events[::-1] if wanted(event)]})


def _bearer(headers: Mapping[str, str]) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ")


def _token(number: int, expires_at: float) -> str:
    """Three parts, as a JWT: the SDK reads the expiry out of it."""
    parts = ({"alg": "none"}, {"exp": int(expires_at), "jti": str(number)})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return b".".join([*encoded, b"secret-signature"]).decode()


@contextmanager
def served(ozone: FakeOzone, watch: Callable[[Moment, str], None]) -> Iterator[str]:
    """Serve it on loopback; `watch` is told the method of each call as it arrives and once it is
    applied, but not answered yet."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            self._reply(content)

        def do_GET(self) -> None:
            self._reply(b"")

        def _reply(self, content: bytes) -> None:
            url = urlsplit(self.path)
            method = url.path.rpartition("/")[2]
            headers = {name.lower(): value for name, value in self.headers.items()}
            watch("arrived", method)
            answer = ozone.call(method, url.query, headers, content)
            watch("applied", method)
            body = json.dumps(answer.body).encode()
            with suppress(ConnectionError):  # whoever asked may be dead by now
                self.send_response(answer.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
