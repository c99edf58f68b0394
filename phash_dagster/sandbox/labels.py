"""The labels that a labeler publishes."""

import base64
import hashlib
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from phash_dagster.sandbox.identifiers import timestamp
from phash_dagster.sandbox.moderation_input import Subject

TAKEDOWN_LABEL = "!takedown"


@dataclass(frozen=True)
class Label:
    """One label. `negated` says that it no longer holds."""

    id: int
    source: str
    uri: str
    cid: str | None
    value: str
    created_at: datetime
    negated: bool = False
    expires: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The label as queryLabels answers with it; nobody could verify its signature."""
        label: dict[str, Any] = {"ver": 1, "src": self.source, "uri": self.uri}
        if self.cid is not None:
            label["cid"] = self.cid
        label["val"] = self.value
        if self.negated:
            label["neg"] = True
        label["cts"] = timestamp(self.created_at)
        if self.expires is not None:
            label["exp"] = timestamp(self.expires)
        signature = hashlib.sha512(repr(self).encode()).digest()
        label["sig"] = {"$bytes": base64.b64encode(signature).rstrip(b"=").decode()}
        return label


class LabelStore:
    """One label for each subject version and value, the latest. Thread-safe."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._labels: dict[tuple[str, str | None, str], Label] = {}
        self._last_id = 0

    def put(
        self,
        subject: Subject,
        value: str,
        now: datetime,
        *,
        negated: bool = False,
        expires: datetime | None = None,
    ) -> None:
        """Put a label on a subject, or say that it no longer holds; the number is a new one."""
        with self._lock:
            self._last_id += 1
            self._labels[subject.key, subject.cid, value] = Label(
                self._last_id,
                self._source,
                subject.key,
                subject.cid,
                value,
                now,
                negated=negated,
                expires=expires,
            )

    def all(self) -> list[Label]:
        """Every label, by number."""
        with self._lock:
            return sorted(self._labels.values(), key=lambda label: label.id)
