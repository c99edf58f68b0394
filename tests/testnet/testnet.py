"""The real network as tests see it: accounts, posts with images, and what Ozone says about them.

The servers live as long as the test session, so tests share them. Let each test make its own
authors and ask about its own subjects; then no test sees another's work.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import Connection, NullPool, create_engine

from tests.testnet.network import Network, PdsSecrets, TeamAccount, running_network

JsonObject = dict[str, Any]
POSTS = "app.bsky.feed.post"
CREATED_AT = "2026-11-23T19:30:00.000Z"


@dataclass(frozen=True)
class Author:
    """An account without a role in Ozone, signed in."""

    did: str
    handle: str
    password: str
    access_token: str = field(repr=False)


@dataclass(frozen=True)
class Post:
    """A record as created: `rev` is the repository revision whose commit carried it."""

    uri: str
    cid: str
    rev: str
    blob_cids: tuple[str, ...]

    @property
    def rkey(self) -> str:
        """The record key, the last part of the AT URI."""
        return self.uri.rpartition("/")[2]


@dataclass(frozen=True)
class Testnet:
    """A running PLC directory, PDS and Ozone, with an account for each role in Ozone."""

    __test__ = False

    plc_url: str
    pds_url: str
    ozone_url: str
    labeler_did: str
    unreachable_labeler_did: str
    """A labeler whose Ozone is at an address where nothing listens."""
    automod: TeamAccount
    """Moderator: what the pipeline signs in as."""
    admin: TeamAccount
    triage: TeamAccount
    """May comment and report, not label."""
    http: httpx.Client
    postgres_url: str
    pds_secrets: PdsSecrets = field(repr=False)
    admin_token: str = field(repr=False)
    """Access token of `admin`; lives two hours, longer than a test session."""

    def settings_environment(self, jetstream_url: str) -> dict[str, str]:
        """Return the environment variables that point the pipeline at these servers.

        There is no CDN here: `CDN_ENDPOINT` is the PDS, which answers 404 to a CDN's paths, so
        that images come from the author's PDS.

        Args:
            jetstream_url: A Jetstream that a `FirehoseRelay` feeds from this PDS.
        """
        return {
            "AUTOMOD_HANDLE": self.automod.handle,
            "AUTOMOD_PASSWORD": self.automod.password,
            "LABELER_DID": self.labeler_did,
            "OZONE_URL": self.ozone_url,
            "OZONE_PDS": self.pds_url,
            "PDS_ENDPOINT": self.pds_url,
            "PLC_ENDPOINT": self.plc_url,
            "PLC_FALLBACK_ENDPOINTS": "",
            "CDN_ENDPOINT": self.pds_url,
            "JETSTREAM_URL": jetstream_url,
            # Empty is as good as unset, which would be the public hosts.
            "JETSTREAM_FALLBACK_URLS": jetstream_url,
            "ALLOW_PRIVATE_NETWORK": "true",
        }

    # Authors and what they publish

    def create_author(self, name: str = "author") -> Author:
        """Create an account whose handle starts with `name` (9 characters at most)."""
        password = secrets.token_hex(8)
        handle = f"{name}-{secrets.token_hex(4)}.test"
        account = {"handle": handle, "email": f"{handle}@mail.test", "password": password}
        answer = self._post_json("com.atproto.server.createAccount", account)
        return Author(answer["did"], handle, password, answer["accessJwt"])

    def upload_blob(self, author: Author, data: bytes, mime_type: str) -> JsonObject:
        """Upload bytes; return the blob reference to put into a record that keeps them."""
        response = self.http.post(
            self._pds("com.atproto.repo.uploadBlob"),
            content=data,
            headers={**_bearer(author.access_token), "content-type": mime_type},
        )
        blob: JsonObject = _answer(response)["blob"]
        return blob

    def create_post(
        self, author: Author, images: Sequence[JsonObject] = (), text: str = ""
    ) -> Post:
        """Publish a post with these uploaded blobs as its images (4 at most)."""
        record: JsonObject = {"$type": POSTS, "text": text, "createdAt": CREATED_AT}
        if images:
            items = [{"alt": "", "image": image} for image in images]
            record["embed"] = {"$type": "app.bsky.embed.images", "images": items}
        created = self.create_record(author, POSTS, record)
        cids = tuple(image["ref"]["$link"] for image in images)
        return Post(created["uri"], created["cid"], created["commit"]["rev"], cids)

    def create_record(self, author: Author, collection: str, record: JsonObject) -> JsonObject:
        """Create a record under a key of the PDS's choice; return the PDS's answer."""
        return self._write(author, "createRecord", {"collection": collection, "record": record})

    def put_record(
        self, author: Author, collection: str, rkey: str, record: JsonObject
    ) -> JsonObject:
        """Create or replace the record under this key; return the PDS's answer."""
        body = {"collection": collection, "rkey": rkey, "record": record}
        return self._write(author, "putRecord", body)

    def delete_post(self, author: Author, post: Post) -> str:
        """Delete a post; return the revision of the commit that did it."""
        answer = self._write(author, "deleteRecord", {"collection": POSTS, "rkey": post.rkey})
        rev: str = answer["commit"]["rev"]
        return rev

    def deactivate_account(self, author: Author) -> None:
        """Let the author leave for now: an account event with status `deactivated`."""
        self._post_json("com.atproto.server.deactivateAccount", {}, author.access_token)

    def delete_account(self, author: Author) -> None:
        """Delete the account as the PDS's operator: an account event with status `deleted`."""
        response = self.http.post(
            self._pds("com.atproto.admin.deleteAccount"),
            json={"did": author.did},
            auth=("admin", self.pds_secrets.admin_password),
        )
        _check(response)

    def get_blob(self, did: str, cid: str) -> httpx.Response:
        """Ask the PDS for a blob; the answer is the caller's to judge."""
        return self.http.get(self._pds("com.atproto.sync.getBlob"), params={"did": did, "cid": cid})

    # What Ozone knows

    def query_events(self, **filters: str | Sequence[str]) -> list[JsonObject]:
        """Return all moderation events that pass the filters, oldest first.

        Filters are queryEvents' own parameters: `subject` (a DID or AT URI), `types`, `createdBy`,
        `batchId`, `includeAllUserRecords`, ...
        """
        return list(self._query_events({"sortDirection": "asc", "limit": "100", **filters}))

    def emit_event(self, event: JsonObject, subject: JsonObject, **fields: object) -> JsonObject:
        """Emit a moderation event as the admin; return it as Ozone recorded it."""
        body = {"event": event, "subject": subject, "createdBy": self.admin.did, **fields}
        response = self.http.post(
            self._pds("tools.ozone.moderation.emitEvent"), json=body, headers=self._as_admin
        )
        return _answer(response)

    def take_down_account(self, did: str) -> None:
        """Take an account down; Ozone tells the PDS a moment later."""
        self.emit_event(
            {"$type": "tools.ozone.moderation.defs#modEventTakedown"},
            {"$type": "com.atproto.admin.defs#repoRef", "did": did},
        )

    def query_statuses(self, subject: str) -> list[JsonObject]:
        """Return the review status that Ozone holds for a DID or AT URI."""
        answer = self._ask_ozone("tools.ozone.moderation.queryStatuses", {"subject": subject})
        statuses: list[JsonObject] = answer["subjectStatuses"]
        return statuses

    def query_labels(self, *subjects: str) -> list[JsonObject]:
        """Return the labels in force on these DIDs and AT URIs, as any client would see them."""
        response = self.http.get(
            f"{self.ozone_url}/xrpc/com.atproto.label.queryLabels",
            params={"uriPatterns": list(subjects), "limit": "250"},
        )
        labels: list[JsonObject] = _answer(response)["labels"]
        return labels

    # What goes wrong with Ozone

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Let Ozone's database refuse every connection, those that are open included."""
        elsewhere = self.postgres_url.replace("/postgres?", "/template1?")
        with _connected(elsewhere) as connection:
            connection.exec_driver_sql("ALTER DATABASE postgres WITH ALLOW_CONNECTIONS false")
            try:
                _end_connections(connection)
                yield
            finally:
                connection.exec_driver_sql("ALTER DATABASE postgres WITH ALLOW_CONNECTIONS true")

    @contextmanager
    def with_hanging_database(self) -> Iterator[None]:
        """Let whoever reads or writes moderation events wait until the end of this."""
        with _connected(self.postgres_url) as connection:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("LOCK TABLE moderation_event IN ACCESS EXCLUSIVE MODE")
            yield
            connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def with_read_only_database(self) -> Iterator[None]:
        """Let Ozone's database refuse every write, as one whose disk is full does."""
        setting = "ALTER DATABASE postgres SET default_transaction_read_only"
        with _connected(self.postgres_url) as connection:
            connection.exec_driver_sql(f"{setting} = on")
            _end_connections(connection)  # Ozone opens new ones, for which it holds
            try:
                yield
            finally:
                connection.exec_driver_sql(f"{setting} = off")
                _end_connections(connection)

    def _query_events(self, parameters: dict[str, str | Sequence[str]]) -> Iterator[JsonObject]:
        while True:
            page = self._ask_ozone("tools.ozone.moderation.queryEvents", parameters)
            yield from page["events"]
            if "cursor" not in page:
                return
            parameters = {**parameters, "cursor": page["cursor"]}

    def _ask_ozone(self, method: str, parameters: dict[str, str | Sequence[str]]) -> JsonObject:
        url = self._pds(method)
        return _answer(self.http.get(url, params=parameters, headers=self._as_admin))

    @property
    def _as_admin(self) -> dict[str, str]:
        """Through the PDS, as every moderation client asks Ozone."""
        proxy = {"atproto-proxy": f"{self.labeler_did}#atproto_labeler"}
        return {**_bearer(self.admin_token), **proxy}

    def _write(self, author: Author, method: str, body: JsonObject) -> JsonObject:
        whole = {"repo": author.did, **body}
        return self._post_json(f"com.atproto.repo.{method}", whole, author.access_token)

    def _post_json(self, method: str, body: JsonObject, token: str | None = None) -> JsonObject:
        headers = _bearer(token) if token else {}
        return _answer(self.http.post(self._pds(method), json=body, headers=headers))

    def _pds(self, method: str) -> str:
        return f"{self.pds_url}/xrpc/{method}"


@contextmanager
def running_testnet() -> Iterator[Testnet]:
    """Start the real servers and stop them at the end.

    Raises:
        TestnetError: A server could not be installed or started.
    """
    with running_network() as network, httpx.Client(trust_env=False, timeout=30) as http:
        yield _testnet(network, http)


def _testnet(network: Network, http: httpx.Client) -> Testnet:
    team = {account.name: account for account in network.accounts}
    return Testnet(
        plc_url=network.plc_url,
        pds_url=network.pds_url,
        ozone_url=network.ozone_url,
        labeler_did=network.labeler_did,
        unreachable_labeler_did=network.unreachable_labeler_did,
        automod=team["automod"],
        admin=team["admin"],
        triage=team["triage"],
        http=http,
        postgres_url=network.postgres_url,
        pds_secrets=network.pds_secrets,
        admin_token=_sign_in(http, network.pds_url, team["admin"]),
    )


def _sign_in(http: httpx.Client, pds_url: str, account: TeamAccount) -> str:
    response = http.post(
        f"{pds_url}/xrpc/com.atproto.server.createSession",
        json={"identifier": account.handle, "password": account.password},
    )
    token: str = _answer(response)["accessJwt"]
    return token


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def _end_connections(connection: Connection) -> None:
    """End every connection to Ozone's database but this one."""
    connection.exec_driver_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = 'postgres' AND pid <> pg_backend_pid()"
    )


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _check(response: httpx.Response) -> None:
    """Raise with the server's own words, which `raise_for_status` leaves out."""
    if not response.is_success:
        raise AssertionError(f"{response.url.path}: {response.status_code} {response.text[:500]}")


def _answer(response: httpx.Response) -> JsonObject:
    _check(response)
    answer: JsonObject = response.json() if response.content else {}
    return answer
