"""Keeps a Jetstream server fed from a PDS while a test runs."""

import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack
from itertools import chain
from types import TracebackType
from typing import Self

from websockets.sync.client import ClientConnection

from tests.testnet.firehose import JsonObject, open_firehose, translate

WAIT_SECONDS = 20.0


class FirehoseRelay:
    """Pushes the events of a PDS, from its beginning on, into a Jetstream as they appear.

    Used as a context manager, inside which a thread of its own calls `push`, which stamps each
    event as it arrives, as a Jetstream host does; the sandbox's `world.push_event` is one.

    The test session shares the PDS. With `dids`, only these repositories' events pass, as though
    the network had no other authors.

    A deleted account's earlier events leave the PDS's history: a relay that is to see both must
    run before the deletion.
    """

    def __init__(
        self,
        pds_url: str,
        push: Callable[[JsonObject], object],
        dids: Collection[str] | None = None,
    ) -> None:
        self._pds_url = pds_url
        self._push = push
        self._dids = dids
        self._pushed: list[JsonObject] = []
        self._changed = threading.Condition()
        self._error: Exception | None = None
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        connection = self._resources.enter_context(open_firehose(self._pds_url))
        thread = threading.Thread(target=self._run, args=[connection], name="firehose-relay")
        thread.start()
        # Undone in reverse order: the connection closes first, upon which the thread ends.
        self._resources.callback(thread.join)
        self._resources.callback(connection.close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()
        if error is None and self._error is not None:
            raise self._error

    def wait_for_commit(self, did: str, rev: str) -> JsonObject:
        """Wait until the repository's commit of this revision was pushed; return its event.

        Raises:
            TimeoutError: It did not appear in time.
        """
        return self.wait_for(
            lambda event: event["did"] == did and event.get("commit", {}).get("rev") == rev
        )

    def wait_for(self, wanted: Callable[[JsonObject], bool]) -> JsonObject:
        """Wait until an event that satisfies the condition was pushed; return the first.

        Raises:
            TimeoutError: It did not appear in time.
        """

        def found() -> JsonObject | None:
            if self._error is not None:
                raise self._error
            return next(filter(wanted, self._pushed), None)

        with self._changed:
            event = self._changed.wait_for(found, WAIT_SECONDS)
        if event is None:
            raise TimeoutError(
                f"the firehose of {self._pds_url} did not carry it in {WAIT_SECONDS} s"
            )
        return event

    def _run(self, connection: ClientConnection) -> None:
        try:
            for event in chain.from_iterable(map(translate, connection)):
                if self._dids is None or event["did"] in self._dids:
                    self._push_one(event)
        except Exception as error:  # noqa: BLE001 - a thread has no caller: handed to the test
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _push_one(self, event: JsonObject) -> None:
        self._push(event)
        with self._changed:
            self._pushed.append(event)
            self._changed.notify_all()
