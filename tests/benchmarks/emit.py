"""How fast are events sent, against a bare loop of the same requests?

Starts a real PDS and Ozone (see tests/testnet). Then, in turns, as many events are sent by the
emitter from a ledger on disk, and by a loop that makes the same requests and does nothing else:
one session, one connection, one request after the other, the questions for labels included. At the
end Ozone must hold each event once. The ledger's part is measured apart from that, with an Ozone
that answers at once.

    python -m tests.benchmarks.emit
    python -m tests.benchmarks.emit --postgres

Takes about two minutes. Needs what the testnet needs: npm and PostgreSQL.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console
from rich.table import Table

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitOptions
from phash_dagster.moderation.events import event_body
from phash_dagster.moderation.labels import subject_batches
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import OzoneClient
from phash_dagster.sandbox.identifiers import plc_did, record_cid
from tests.moderation.builders import TTL, action_on_post
from tests.moderation.scripted_ozone import ScriptedOzone
from tests.testnet.actions import account
from tests.testnet.postgres import throwaway_postgres
from tests.testnet.testnet import Testnet, running_testnet

GOAL: Final = 0.9
AT_ONCE: Final = EmitOptions(rate_limit_ms=0)
_numbers = itertools.count()


def some_actions(count: int) -> list[Action]:
    """Labels on posts of as many accounts, none of which anything was done to yet."""
    return [_label(next(_numbers)) for _ in range(count)]


def _label(number: int) -> Action:
    action = action_on_post("3kbenchmark", did=plc_did(f"account {number}"), event=Event.LABEL)
    return replace(action, subject_cid=record_cid({"number": number}), blob_cids=())


class BareLoop:
    """Makes the emitter's requests, and knows nothing of ledgers."""

    def __init__(self, testnet: Testnet) -> None:
        automod = testnet.automod
        self._testnet = testnet
        self._client = httpx.Client(base_url=f"{testnet.pds_url}/xrpc/", trust_env=False)
        body = {"identifier": automod.handle, "password": automod.password}
        session = self._client.post("com.atproto.server.createSession", json=body).json()
        self._did = session["did"]
        self._client.headers["authorization"] = f"Bearer {session['accessJwt']}"
        self._client.headers["atproto-proxy"] = f"{testnet.labeler_did}#atproto_labeler"

    def send(self, actions: Sequence[Action]) -> float:
        """Ask for the labels of each fifty, then send them; the seconds it took."""
        start = time.perf_counter()
        for first in range(0, len(actions), 50):
            page = actions[first : first + 50]
            for subjects in subject_batches(page):
                self._ask(subjects)
            for action in page:
                body = event_body(action, created_by=self._did)
                answer = self._client.post("tools.ozone.moderation.emitEvent", json=body)
                answer.raise_for_status()
        return time.perf_counter() - start

    def _ask(self, subjects: Sequence[str]) -> None:
        parameters: dict[str, str | int | list[str]] = {
            "uriPatterns": list(subjects),
            "sources": [self._testnet.labeler_did],
            "limit": 250,
        }
        answer = self._client.get("com.atproto.label.queryLabels", params=parameters)
        answer.raise_for_status()


def emitted(ledger: Ledger, ozone: OzoneClient, actions: Sequence[Action]) -> float:
    """The seconds that the emitter takes for rows that are planned."""
    ledger.record(actions, claim_ttl=TTL)
    start = time.perf_counter()
    summary = emit_actions(ledger, ozone, AT_ONCE)
    seconds = time.perf_counter() - start
    if summary.sent != len(actions):
        raise AssertionError(f"{len(actions)} events to send, and {summary}")
    return seconds


def ledger_milliseconds(ledger: Ledger, count: int) -> float:
    """The emitter's time per action where Ozone takes none."""
    ledger.record(some_actions(count), claim_ttl=TTL)
    start = time.perf_counter()
    summary = emit_actions(ledger, ScriptedOzone(), AT_ONCE)
    if summary.sent != count:
        raise AssertionError(f"{count} events to send, and {summary}")
    return (time.perf_counter() - start) / count * 1_000


def check(testnet: Testnet, actions: Sequence[Action]) -> None:
    """Fail unless Ozone has one event for each of these."""
    labels = "tools.ozone.moderation.defs#modEventLabel"
    found = [event["subject"]["uri"] for event in testnet.query_events(types=labels)]
    if sorted(found) != sorted(action.subject for action in actions):
        raise AssertionError(f"{len(actions)} events were sent, Ozone has {len(found)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--events", type=int, default=100, help="for each side in a round")
    parser.add_argument("--postgres", action="store_true", help="the ledger is on PostgreSQL")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd()))
        url = f"sqlite:///{folder}/ledger.sqlite"
        if arguments.postgres:
            url = stack.enter_context(throwaway_postgres()).url(scheme="postgresql+psycopg2")
        testnet = stack.enter_context(running_testnet())
        ledger = stack.enter_context(Ledger(url))
        ozone = stack.enter_context(OzoneClient(account(testnet)))
        bare = BareLoop(testnet)
        sent: list[Action] = []

        def turn(kind: str) -> float:
            actions = some_actions(arguments.events)
            sent.extend(actions)
            return bare.send(actions) if kind == "bare" else emitted(ledger, ozone, actions)

        for kind in ("bare", "emitter"):
            turn(kind)  # connections, sessions, caches
        seconds: dict[str, list[float]] = {"bare": [], "emitter": []}
        for number in range(arguments.rounds):
            order = ("bare", "emitter") if number % 2 else ("emitter", "bare")
            for kind in order:
                seconds[kind].append(turn(kind))
        check(testnet, sent)
        milliseconds = ledger_milliseconds(ledger, 2_000)
        assert ledger.counts().keys() == {State.SENT}

    show(seconds, arguments.events, milliseconds)


def show(seconds: dict[str, list[float]], events: int, milliseconds: float) -> None:
    """Print what was measured."""
    console = Console()
    table = Table("", "events a second", "median round", "slowest round")
    for kind, times in seconds.items():
        rate, median = events * len(times) / sum(times), statistics.median(times)
        table.add_row(kind, f"{rate:.1f}", f"{median:.2f} s", f"{max(times):.2f} s")
    console.print(table)
    ratio = sum(seconds["bare"]) / sum(seconds["emitter"])
    rounds = zip(seconds["bare"], seconds["emitter"], strict=True)
    median = statistics.median(bare / emitter for bare, emitter in rounds)
    verdict = "met" if ratio >= GOAL else "missed"
    console.print(f"The emitter makes {ratio:.2f} times the bare loop's events a second,")
    console.print(f"{median:.2f} times in the median round; the goal of {GOAL} is {verdict}.")
    console.print(f"Without Ozone an action takes the emitter {milliseconds:.2f} ms.")


if __name__ == "__main__":
    main()
