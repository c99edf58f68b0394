"""The accounts of the network, their records and blobs."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from phash_dagster.sandbox.identifiers import authority
from phash_dagster.sandbox.records import blob_cids
from phash_dagster.sandbox.xrpc import XrpcError

Status = Literal["deleted", "takendown", "suspended", "deactivated"]


@dataclass(frozen=True)
class Account:
    """An account and the app password that it signs in with."""

    did: str
    handle: str
    password: str


@dataclass(frozen=True)
class StoredBlob:
    """A blob as it was uploaded."""

    data: bytes
    mime_type: str


@dataclass
class _Repository:
    account: Account
    pds_endpoint: str | None = None
    status: Status | None = None
    active: bool = True
    blobs: dict[str, StoredBlob] = field(default_factory=dict)
    taken_down_blobs: set[str] = field(default_factory=set)
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)


class Repositories:
    """Keeps them; answers for the PDS and for the CDN. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_did: dict[str, _Repository] = {}

    def add(self, account: Account) -> None:
        """Create an account's repository.

        Raises:
            ValueError: The handle is taken.
        """
        with self._lock:
            if any(other.account.handle == account.handle for other in self._by_did.values()):
                raise ValueError(f"handle {account.handle!r} is taken: choose another one")
            self._by_did[account.did] = _Repository(account)

    def find(self, identifier: str) -> Account | None:
        """The account with this DID or handle."""
        with self._lock:
            if identifier in self._by_did:
                return self._by_did[identifier].account
            handles = {repo.account.handle: repo.account for repo in self._by_did.values()}
            return handles.get(identifier.lower())

    def pds_endpoint(self, did: str) -> str | None:
        """The PDS that the account's DID document names, if not this network's own."""
        with self._lock:
            return self._by_did[did].pds_endpoint

    def set_pds_endpoint(self, did: str, endpoint: str | None) -> None:
        """Let the account's DID document name another PDS."""
        with self._lock:
            self._by_did[did].pds_endpoint = endpoint

    def set_status(self, did: str, *, active: bool, status: Status | None) -> None:
        """Set what hosts know of the account."""
        with self._lock:
            self._by_did[did].active = active
            self._by_did[did].status = status

    def status(self, did: str) -> tuple[bool, Status | None]:
        """Whether the account is active, and if not, why."""
        with self._lock:
            return self._by_did[did].active, self._by_did[did].status

    def put_blob(self, did: str, cid: str, blob: StoredBlob) -> None:
        """Upload a blob."""
        with self._lock:
            self._by_did[did].blobs[cid] = blob

    def remove_blob(self, did: str, cid: str) -> None:
        """Lose a blob, on the PDS and on the CDN."""
        with self._lock:
            self._by_did[did].blobs.pop(cid, None)

    def take_down_blobs(self, did: str, cids: tuple[str, ...], *, taken_down: bool) -> None:
        """Withhold blobs of an account that exists here, or serve them again."""
        with self._lock:
            repository = self._by_did.get(did)
            if repository is None:
                return
            if taken_down:
                repository.taken_down_blobs.update(cids)
            else:
                repository.taken_down_blobs.difference_update(cids)

    def put_record(self, uri: str, record: Mapping[str, Any]) -> None:
        """Write a record at its AT URI, over the one that may be there."""
        with self._lock:
            self._by_did[authority(uri)].records[uri] = record

    def remove_record(self, uri: str) -> None:
        """Delete a record.

        Raises:
            KeyError: There is none at this AT URI.
        """
        with self._lock:
            del self._by_did[authority(uri)].records[uri]

    def record(self, uri: str) -> Mapping[str, Any] | None:
        """The record at an AT URI."""
        with self._lock:
            repository = self._by_did.get(authority(uri))
            return None if repository is None else repository.records.get(uri)

    def page(
        self, prefix: str, cursor: str | None, *, limit: int, ascending: bool
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """Records by their AT URIs, which begin with `prefix`, in the order of these.

        Args:
            prefix: `at://<did>/<collection>/` of an account that exists here.
            cursor: Record key after which the page begins.
            limit: Most records.
            ascending: Whether the smallest record key comes first, else the largest.
        """
        start = None if cursor is None else f"{prefix}{cursor}"
        with self._lock:
            found = [
                (uri, record)
                for uri, record in self._by_did[authority(prefix)].records.items()
                if uri.startswith(prefix)
                and (start is None or (uri > start if ascending else uri < start))
            ]
        return sorted(found, key=lambda entry: entry[0], reverse=not ascending)[:limit]

    def served_by_cdn(self, did: str, cid: str) -> StoredBlob | None:
        """A blob as the CDN has it: it caches, so it goes on serving what records no longer name.

        Only a takedown of the blob itself takes it from there.
        """
        with self._lock:
            repository = self._by_did.get(did)
            if repository is None or cid in repository.taken_down_blobs:
                return None
            return repository.blobs.get(cid)

    def served_by_pds(self, did: str, cid: str) -> StoredBlob:
        """A blob as the PDS has it: only of active accounts, only while a record names it.

        Raises:
            XrpcError: 400 in the words of the real PDS.
        """
        with self._lock:
            repository = self._by_did.get(did)
            if repository is None or repository.status == "deleted":
                raise XrpcError(400, "RepoNotFound", f"Could not find repo for DID: {did}")
            if not repository.active:
                raise _inactive(did, repository.status)
            blob = repository.blobs.get(cid)
            named = any(cid in blob_cids(record) for record in repository.records.values())
            if blob is None or not named or cid in repository.taken_down_blobs:
                raise XrpcError(400, "InvalidRequest", "Blob not found")
            return blob


def _inactive(did: str, status: Status | None) -> XrpcError:
    if status in ("takendown", "suspended"):
        return XrpcError(400, "RepoTakendown", f"Repo has been takendown: {did}")
    return XrpcError(400, "RepoDeactivated", f"Repo has been deactivated: {did}")
