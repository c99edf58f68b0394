"""The state of the network and the script's handle on it: who exists, posts, deletes and fails."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from phash_dagster.clock import Clock, utc_now
from phash_dagster.sandbox import records
from phash_dagster.sandbox.event_log import EventLog, LogEntry
from phash_dagster.sandbox.identifiers import (
    authority,
    blob_cid,
    microseconds,
    plc_did,
    record_cid,
    tid,
    timestamp,
)
from phash_dagster.sandbox.moderation import Moderation
from phash_dagster.sandbox.moderation_input import Subject
from phash_dagster.sandbox.rate_limits import RateLimits
from phash_dagster.sandbox.repositories import Account, Repositories, Status, StoredBlob
from phash_dagster.sandbox.sessions import Sessions
from phash_dagster.sandbox.traffic import Failure, Service, Traffic


@dataclass(frozen=True)
class Post:
    """A record that was written: where it is, its version, and the blobs it names."""

    uri: str
    cid: str
    blob_cids: tuple[str, ...]

    @property
    def did(self) -> str:
        """Its author."""
        return authority(self.uri)


class World:
    """Everything that the services of one network share. Thread-safe.

    `origin` is the address of the server and `pds_url` that of the PDS, which DID documents name;
    both are set once they are known. What is
    done without a time (`at`) happens now; with one, it is in the past for who reads from then.

    Args:
        seed: Decides the DIDs and passwords.
        clock: Stamps events.
    """

    def __init__(self, *, seed: int = 0, clock: Clock = utc_now) -> None:
        self.origin = self.pds_url = "http://127.0.0.1:0"
        self._seed = seed
        self.clock = clock
        self._lock = threading.Lock()
        self._rkeys = 0
        self.events = EventLog(clock)
        self.repositories = Repositories()
        self.sessions = Sessions(clock)
        self.traffic = Traffic(clock)
        self.rate_limits = RateLimits(clock)
        self.labeler_did = plc_did(f"labeler {seed}")
        self.other_labeler_endpoint: str | None = None
        self.labelers_elsewhere: dict[str, str] = {}
        """DID of a labeler that is no part of this network -> where its Ozone is said to be."""
        self.moderation = Moderation(
            self.labeler_did,
            clock,
            find_record=self.repositories.record,
            on_takedown=self._take_down,
        )
        self.automod = self.create_account("automod.test")
        self.moderation.set_role(self.automod.did, "moderator")

    @property
    def labeler_endpoint(self) -> str:
        """Address of Ozone, as the labeler's DID document names it."""
        return self.other_labeler_endpoint or f"{self.origin}/ozone"

    def create_labeler_elsewhere(self, endpoint: str) -> str:
        """Register the DID of a labeler whose Ozone is at this address, or is said to be."""
        did = plc_did(f"labeler at {endpoint} {self._seed}")
        self.labelers_elsewhere[did] = endpoint
        return did

    def create_account(
        self, handle: str, *, password: str | None = None, at: datetime | None = None
    ) -> Account:
        """Create an account and announce it.

        Raises:
            ValueError: The handle is taken.
        """
        did = plc_did(f"{handle} {self._seed}")
        secret = plc_did(f"password of {handle} {self._seed}")[-16:]
        app_password = "-".join(secret[start : start + 4] for start in range(0, 16, 4))
        account = Account(did, handle.lower(), password or app_password)
        self.repositories.add(account)
        self._announce("identity", did, at, handle=account.handle)
        self._announce("account", did, at, active=True)
        return account

    def set_account_status(
        self, did: str, *, active: bool, status: Status | None = None, at: datetime | None = None
    ) -> None:
        """Let an account be deleted, taken down, suspended or deactivated, or come back."""
        self.repositories.set_status(did, active=active, status=status)
        reason = {} if status is None else {"status": status}
        self._announce("account", did, at, active=active, **reason)

    def announce_sync(self, account: Account, *, at: datetime | None = None) -> None:
        """Say that an account's repository has to be read anew; version 1 of the wire does not."""
        self._announce("sync", account.did, at, rev=self._new_rkey(at), blocks={"$bytes": ""})

    def upload(self, account: Account, data: bytes, *, mime_type: str | None = None) -> str:
        """Store a blob and return its CID."""
        cid = blob_cid(data)
        mime_type = mime_type or records.mime_type_of(data)
        self.repositories.put_blob(account.did, cid, StoredBlob(data, mime_type))
        return cid

    def publish_post(
        self,
        account: Account,
        images: Sequence[bytes] = (),
        *,
        embed: records.Embed = "images",
        text: str = "",
        at: datetime | None = None,
    ) -> Post:
        """Write a post with these images, as a client does: upload them, then refer to them."""
        record = self._post_record(account, images, embed, text, at)
        return self.publish_record(account, record, at=at)

    def publish_record(
        self,
        account: Account,
        record: Mapping[str, Any],
        *,
        collection: str = records.POST,
        at: datetime | None = None,
    ) -> Post:
        """Write any record, be it valid or not."""
        uri = f"at://{account.did}/{collection}/{self._new_rkey(at)}"
        return self._commit("create", uri, record, at)

    def update_post(
        self,
        post: Post,
        images: Sequence[bytes] = (),
        *,
        embed: records.Embed = "images",
        text: str = "",
        at: datetime | None = None,
    ) -> Post:
        """Write another version of a post in its place."""
        account = self.repositories.find(post.did)
        if account is None:
            raise ValueError(f"{post.uri} is not of this network")
        return self._commit(
            "update", post.uri, self._post_record(account, images, embed, text, at), at
        )

    def delete_post(self, uri: str, *, at: datetime | None = None) -> None:
        """Delete a record, a post or any other.

        Raises:
            KeyError: There is none at this AT URI.
        """
        self.repositories.remove_record(uri)
        self._commit_event(uri, "delete", at)

    def like(self, account: Account, post: Post, *, at: datetime | None = None) -> Post:
        """Like a post: an event that says nothing about images."""
        record = records.like(post.uri, post.cid, timestamp(at or self.clock()))
        return self.publish_record(account, record, collection=records.LIKE, at=at)

    def push_event(self, event: Mapping[str, Any]) -> LogEntry:
        """Put a Jetstream v1 event into the stream: at its `time_us`, or now if it has none."""
        bare = {name: value for name, value in event.items() if name not in ("time_us", "cursor")}
        return self.events.append(bare, event.get("time_us"))

    def publish_raw(self, frame: str | bytes) -> LogEntry:
        """Send a frame as it is to every client of Jetstream, whatever it asked for.

        Text is compressed for clients that asked for compression; bytes are not, and so are
        garbage to everyone.
        """
        return self.events.append_frame(frame)

    def fail_next(self, service: Service, count: int = 1, failure: Failure | None = None) -> None:
        """Let the next requests to a service fail, by default with 503."""
        self.traffic.fail_next(service, count, failure or Failure())

    def drop_connections(self, service: Service = "jetstream") -> None:
        """Close every open connection to a Jetstream host."""
        self.traffic.drop(service)
        self.events.wake()

    def _take_down(self, subject: Subject, blob_cids: tuple[str, ...], taken_down: bool) -> None:
        """A takedown in Ozone reaches the PDS, which announces those of accounts."""
        if subject.uri is not None:
            self.repositories.take_down_blobs(subject.did, blob_cids, taken_down=taken_down)
        elif self.repositories.find(subject.did) is not None:
            status: Status | None = "takendown" if taken_down else None
            self.set_account_status(subject.did, active=not taken_down, status=status)

    def _post_record(
        self,
        account: Account,
        images: Sequence[bytes],
        embed: records.Embed,
        text: str,
        at: datetime | None,
    ) -> records.Json:
        blobs = [
            records.blob(self.upload(account, data), records.mime_type_of(data), len(data))
            for data in images
        ]
        created_at = timestamp(at or self.clock())
        return records.post(text, created_at, records.embed_of(embed, blobs) if blobs else None)

    def _new_rkey(self, at: datetime | None) -> str:
        with self._lock:
            self._rkeys += 1
            return tid(microseconds(at or self.clock()) + self._rkeys, self._rkeys)

    def _commit(
        self, operation: str, uri: str, record: Mapping[str, Any], at: datetime | None
    ) -> Post:
        cid = record_cid(record)
        self.repositories.put_record(uri, record)
        self._commit_event(uri, operation, at, record=record, cid=cid)
        return Post(uri, cid, records.blob_cids(record))

    def _commit_event(self, uri: str, operation: str, at: datetime | None, **content: Any) -> None:
        did, collection, rkey = uri.removeprefix("at://").split("/")
        commit = {
            "rev": self._new_rkey(at),
            "operation": operation,
            "collection": collection,
            "rkey": rkey,
            **content,
        }
        self._append({"did": did, "kind": "commit", "commit": commit}, at)

    def _announce(self, kind: str, did: str, at: datetime | None, **facts: Any) -> None:
        facts |= {"did": did, "seq": len(self.events) + 1, "time": timestamp(at or self.clock())}
        self._append({"did": did, "kind": kind, kind: facts}, at)

    def _append(self, event: Mapping[str, Any], at: datetime | None) -> None:
        self.events.append(event, None if at is None else microseconds(at))
