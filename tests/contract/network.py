"""A client of a network under test, be it the sandbox or real servers."""

import io
import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from PIL import Image

from phash_dagster.sandbox.identifiers import blob_cid, plc_did, record_cid

Json = dict[str, Any]
Role = Literal["moderator", "admin", "triage", "stranger"]

DEFS = "tools.ozone.moderation.defs#"
MODERATION = "tools.ozone.moderation."
GET_BLOB = "com.atproto.sync.getBlob"
_DEADLINE_SECONDS = 10.0


@dataclass(frozen=True)
class Member:
    """An account that can sign in."""

    did: str
    handle: str
    password: str


Fault = Callable[[], AbstractContextManager[None]]
"""Breaks something for as long as the context lasts."""


@dataclass(frozen=True)
class Faults:
    """How to break a network."""

    no_database: Fault
    """Ozone's database cannot be reached."""
    hanging: Fault
    """Ozone answers no request that begins meanwhile for longer than the PDS waits, and carries it
    out in the end."""
    unreachable_labeler_did: str
    """A labeler whose Ozone is at an address where nothing listens."""


@dataclass(frozen=True)
class Addresses:
    """Where a network is and who may act on it: all that a test run has to provide.

    `members` has the roles moderator, admin and triage of the labeler's team, and a stranger who
    is in no team. `jwt_secret` is what the PDS signs its tokens with.
    """

    pds_url: str
    plc_url: str
    labeler_did: str
    members: Mapping[Role, Member]
    jwt_secret: str = field(repr=False)
    faults: Faults


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(repr=False)

    @property
    def error(self) -> str | None:
        """XRPC name of the error, if it is one."""
        return self.body.get("error")

    @property
    def message(self) -> str:
        """Text of the error, or nothing."""
        return str(self.body.get("message", ""))


class Members:
    """Signs the members of a network in, each once: passwords are slow to check."""

    def __init__(self, addresses: Addresses, client: httpx.Client) -> None:
        self.addresses = addresses
        self.client = client
        self._tokens: dict[Role, str] = {}

    def token(self, role: Role) -> str:
        """The access token of a member."""
        if role not in self._tokens:
            member = self.addresses.members[role]
            response = self.client.post(
                f"{self.addresses.pds_url}/xrpc/com.atproto.server.createSession",
                json={"identifier": member.handle, "password": member.password},
            )
            self._tokens[role] = response.raise_for_status().json()["accessJwt"]
        return self._tokens[role]


class Network:
    """Speaks to a network. `name` makes the subjects of one test differ from those of others."""

    def __init__(self, members: Members, name: str) -> None:
        self.addresses = members.addresses
        self.token = members.token
        self._client = members.client
        self._name = name
        self._numbers = itertools.count()

    def new_author(self) -> str:
        """A DID that no other test uses; nobody registered it."""
        return plc_did(f"{self._name} {next(self._numbers)}")

    def new_post(self, author: str | None = None) -> Json:
        """A subject: a post that does not exist, by a new author unless one is given."""
        number = next(self._numbers)
        uri = f"at://{author or self.new_author()}/app.bsky.feed.post/3k{number:011}"
        return {
            "$type": "com.atproto.repo.strongRef",
            "uri": uri,
            "cid": record_cid({"number": number}),
        }

    def new_blob(self) -> str:
        """The CID of a blob that does not exist."""
        return blob_cid(f"{self._name} {next(self._numbers)}".encode())

    def sign_in(self, identifier: str, password: str, *, address: str | None = None) -> Answer:
        """Create a session; from another `address`, for a PDS that believes it."""
        body = {"identifier": identifier, "password": password}
        return self.post("com.atproto.server.createSession", body, token=None, address=address)

    def emit(self, event: Json, subject: Json, *, by: Role = "moderator", **fields: Any) -> Answer:
        """`emitEvent` through the PDS."""
        body = {
            "event": event,
            "subject": subject,
            "createdBy": self.addresses.members[by].did,
            **fields,
        }
        return self.emit_body(body, by=by)

    def emit_body(self, body: Json, *, by: Role = "moderator") -> Answer:
        """`emitEvent` with any body."""
        return self.post(MODERATION + "emitEvent", body, token=self.token(by), proxy=self.labeler)

    @property
    def labeler(self) -> str:
        """The value of `atproto-proxy` that names the labeler's Ozone."""
        return f"{self.addresses.labeler_did}#atproto_labeler"

    def query_events(self, **parameters: Any) -> Answer:
        """`queryEvents` through the PDS."""
        return self._query(MODERATION + "queryEvents", parameters)

    def query_statuses(self, **parameters: Any) -> Answer:
        """`queryStatuses` through the PDS."""
        return self._query(MODERATION + "queryStatuses", parameters)

    def query_labels(self, *patterns: str, **parameters: Any) -> Answer:
        """`queryLabels` through the PDS."""
        named = {"uriPatterns": list(patterns), **parameters}
        return self._query("com.atproto.label.queryLabels", named)

    def _query(self, nsid: str, parameters: Json) -> Answer:
        return self.get(nsid, parameters, token=self.token("moderator"), proxy=self.labeler)

    def post(
        self,
        nsid: str,
        body: Json | None,
        *,
        token: str | None,
        proxy: str | None = None,
        address: str | None = None,
    ) -> Answer:
        """Any procedure of the PDS."""
        url = f"{self.addresses.pds_url}/xrpc/{nsid}"
        headers = _headers(token, proxy) | ({"x-forwarded-for": address} if address else {})
        return _answer(self._client.post(url, json=body, headers=headers))

    def post_bytes(self, nsid: str, content: bytes, mime_type: str) -> Answer:
        """Any procedure of the labeler's Ozone, with any body."""
        headers = _headers(self.token("moderator"), self.labeler)
        url = f"{self.addresses.pds_url}/xrpc/{nsid}"
        return _answer(
            self._client.post(url, content=content, headers={**headers, "content-type": mime_type})
        )

    def get(
        self, nsid: str, parameters: Json, *, token: str | None = None, proxy: str | None = None
    ) -> Answer:
        """Any query of the PDS."""
        url = f"{self.addresses.pds_url}/xrpc/{nsid}"
        return _answer(self._client.get(url, params=parameters, headers=_headers(token, proxy)))

    def did_document(self, did: str) -> Answer:
        """What the PLC directory says."""
        return _answer(self._client.get(f"{self.addresses.plc_url}/{did}"))

    def upload(self, data: bytes, mime_type: str, *, by: Role) -> Json:
        """Upload a blob and return the reference to it."""
        answer = self._client.post(
            f"{self.addresses.pds_url}/xrpc/com.atproto.repo.uploadBlob",
            content=data,
            headers={**_headers(self.token(by), None), "content-type": mime_type},
        )
        blob: Json = answer.raise_for_status().json()["blob"]
        return blob

    def publish(self, blob: Json) -> Json:
        """A post with this picture by the stranger, as a subject."""
        record = {
            "$type": "app.bsky.feed.post",
            "text": "a picture",
            "createdAt": "2026-01-01T00:00:00.000Z",
            "embed": {"$type": "app.bsky.embed.images", "images": [{"alt": "", "image": blob}]},
        }
        answer = self.post(
            "com.atproto.repo.createRecord",
            {
                "repo": self.addresses.members["stranger"].did,
                "collection": "app.bsky.feed.post",
                "record": record,
            },
            token=self.token("stranger"),
        )
        return {
            "$type": "com.atproto.repo.strongRef",
            "uri": answer.body["uri"],
            "cid": answer.body["cid"],
        }

    def wait_for_blob(self, cid: str, status: int) -> int:
        """The status that a blob of the stranger is served with, once it is the one expected.

        Takedowns reach the PDS a moment after they are answered.
        """
        did = self.addresses.members["stranger"].did
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while True:
            found = self.get(GET_BLOB, {"did": did, "cid": cid}).status
            if found == status or time.monotonic() > deadline:
                return found
            time.sleep(0.05)


def _headers(token: str | None, proxy: str | None) -> dict[str, str]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return headers if proxy is None else {**headers, "atproto-proxy": proxy}


def _answer(response: httpx.Response) -> Answer:
    is_json = response.headers.get("content-type", "").startswith("application/")
    body = response.json() if is_json and response.content else {}
    return Answer(response.status_code, body, response.headers)


def label(*values: str, negate: tuple[str, ...] = (), **fields: Any) -> Json:
    """A label event."""
    return {
        "$type": DEFS + "modEventLabel",
        "createLabelVals": list(values),
        "negateLabelVals": list(negate),
        **fields,
    }


def report(reason: str = "com.atproto.moderation.defs#reasonSpam", **fields: Any) -> Json:
    """A report event."""
    return {"$type": DEFS + "modEventReport", "reportType": reason, **fields}


def comment(text: str) -> Json:
    """A comment event."""
    return {"$type": DEFS + "modEventComment", "comment": text}


def picture(shade: int) -> bytes:
    """A JPEG; another one for each shade from 0 to 255."""
    data = io.BytesIO()
    Image.new("RGB", (20, 20), (shade, 0, 0)).save(data, "JPEG")
    return data.getvalue()


def takedown() -> Json:
    """A takedown event."""
    return {"$type": DEFS + "modEventTakedown"}


def reverse_takedown() -> Json:
    """The end of a takedown."""
    return {"$type": DEFS + "modEventReverseTakedown"}


def account(did: str) -> Json:
    """An account as a subject."""
    return {"$type": "com.atproto.admin.defs#repoRef", "did": did}
