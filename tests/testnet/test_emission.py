"""The whole emitter against the real PDS and Ozone, through kills and outages."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import EmitOptions, EmitSummary
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ozone import OzoneClient
from tests.moderation.builders import TTL
from tests.moderation.killed_emitter import NEVER, Job, emit_until_killed
from tests.testnet.actions import EditedRequests, account, on_account, on_post
from tests.testnet.testnet import Author, Post, Testnet
from tests.testnet.tokens import expired

pytestmark = pytest.mark.testnet

LOGIN, REFRESH = "createSession", "refreshSession"
KILLS = 12
STEPS = 36
"""Steps of an emitter with six actions, about."""
NEXT_SECOND = 1.1
"""Tokens that the PDS gives within the same second are the same."""
AT_ONCE = EmitOptions(rate_limit_ms=0, settle_seconds=1.0)
DEFS = "tools.ozone.moderation.defs#"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as ledger:
        yield ledger


@pytest.fixture
def author(testnet: Testnet) -> Author:
    return testnet.create_author()


@pytest.fixture
def posts(testnet: Testnet, author: Author) -> list[Post]:
    return [testnet.create_post(author, text=f"post {number}") for number in range(6)]


def planned(actions: list[Action]) -> list[Action]:
    return [replace(action, state=State.PLANNED) for action in actions]


def record(ledger: Ledger, actions: list[Action]) -> None:
    assert ledger.record(planned(actions), claim_ttl=TTL) == len(actions)


def sent_to(testnet: Testnet, author: Author) -> Counter[tuple[str, str]]:
    """What Ozone holds on an author and their posts, without the tags that it adds itself."""
    events = testnet.query_events(subject=author.did, includeAllUserRecords="true")
    return Counter(
        (kind, event["subject"].get("uri", author.did))
        for event in events
        if (kind := event["event"]["$type"]) != f"{DEFS}modEventTag"
    )


class Requests:
    """Counts what is asked of the PDS, and may change it."""

    def __init__(self, edit: Callable[[httpx.Request], None] = lambda _: None) -> None:
        self.methods: list[str] = []
        self._edit = edit

    def __call__(self, request: httpx.Request) -> None:
        self.methods.append(request.url.path.rpartition(".")[2])
        self._edit(request)


def run(testnet: Testnet, ledger: Ledger, folder: Path, requests: Requests) -> EmitSummary:
    client = OzoneClient(
        account(testnet),
        transport=EditedRequests(requests),
        keep_session_in=folder / "session.json",
    )
    with client as ozone:
        return emit_actions(ledger, ozone, AT_ONCE)


# Kills


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_at_some_step_and_started_again_ozone_has_each_event_once(
    testnet: Testnet, author: Author, posts: list[Post], tmp_path: Path, seed: int
) -> None:
    actions = [
        on_post(author, posts[0], Event.LABEL),
        on_post(author, posts[1], Event.LABEL),
        on_post(author, posts[1], Event.REPORT),
        on_post(author, posts[2], Event.TAKEDOWN),
        on_account(author.did, Event.LABEL),
        on_account(author.did, Event.COMMENT),
    ]
    automod = testnet.automod
    job = Job(
        ledger_url=f"sqlite:///{tmp_path / 'ledger.sqlite'}",
        session_file=tmp_path / "session.json",
        pds=testnet.pds_url,
        handle=automod.handle,
        password=automod.password,
        labeler_did=testnet.labeler_did,
    )
    with Ledger(job.ledger_url) as ledger:
        record(ledger, actions)
    # One part of the steps each, so that all parts are tried.
    step = int((seed + random.Random(seed).random()) * STEPS / KILLS)
    assert not emit_until_killed(job, step)
    assert emit_until_killed(job, NEVER)
    sent = sent_to(testnet, author)
    assert sum(sent.values()) == len(actions)
    assert set(sent.values()) == {1}
    with Ledger(job.ledger_url) as ledger:
        assert ledger.counts() == {State.SENT: len(actions)}


# Sessions


def test_ten_runs_take_one_login(
    testnet: Testnet, ledger: Ledger, author: Author, tmp_path: Path
) -> None:
    requests = Requests()
    for number in range(10):
        action = replace(on_account(author.did, Event.LABEL), value=f"label-{number}")
        record(ledger, [action])
        assert run(testnet, ledger, tmp_path, requests).sent == 1
    assert requests.methods.count(LOGIN) == 1
    assert (tmp_path / "session.json").stat().st_mode & 0o777 == 0o600


def test_a_token_that_expires_in_mid_batch_is_refreshed_and_each_event_arrives_once(
    testnet: Testnet, ledger: Ledger, author: Author, posts: list[Post], tmp_path: Path
) -> None:
    old: list[str] = []

    def expire(request: httpx.Request) -> None:
        """From the third event on the token that it has been until then counts as expired."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if requests.methods.count("emitEvent") == 3 and not old:
            time.sleep(NEXT_SECOND)
            old.append(token)
        if token in old and request.url.path.endswith("emitEvent"):
            stale = expired(token, testnet.pds_secrets.jwt_secret)
            request.headers["authorization"] = f"Bearer {stale}"

    requests = Requests(expire)
    record(ledger, [on_post(author, post, Event.LABEL) for post in posts])
    assert run(testnet, ledger, tmp_path, requests) == EmitSummary(sent=6)
    assert (requests.methods.count(LOGIN), requests.methods.count(REFRESH)) == (1, 1)
    assert set(sent_to(testnet, author).values()) == {1}


def test_a_session_that_its_owner_ended_is_replaced(
    testnet: Testnet, ledger: Ledger, author: Author, posts: list[Post], tmp_path: Path
) -> None:
    requests = Requests()
    record(ledger, [on_post(author, posts[0], Event.LABEL)])
    run(testnet, ledger, tmp_path, requests)
    kept = (tmp_path / "session.json").read_text()
    refresh_token = kept.split(":::")[3]
    testnet.http.post(
        f"{testnet.pds_url}/xrpc/com.atproto.server.deleteSession",
        headers={"authorization": f"Bearer {refresh_token}"},
    ).raise_for_status()
    expire = Requests(
        lambda request: request.headers.update(
            {"authorization": "Bearer garbage"}
            if request.headers.get("authorization", " ").split()[-1] in kept
            and REFRESH not in request.url.path
            else {}
        )
    )
    record(ledger, [on_post(author, posts[1], Event.LABEL)])
    time.sleep(NEXT_SECOND)
    assert run(testnet, ledger, tmp_path, expire).sent == 1
    assert (expire.methods.count(REFRESH), expire.methods.count(LOGIN)) == (1, 1)


# Asking before sending


def test_what_somebody_labelled_or_took_down_before_is_settled(
    testnet: Testnet, ledger: Ledger, author: Author, posts: list[Post], tmp_path: Path
) -> None:
    labelled, taken_down, free = posts[:3]
    label = {
        "$type": f"{DEFS}modEventLabel",
        "createLabelVals": ["spam"],
        "negateLabelVals": [],
    }
    for event, post in ((label, labelled), ({"$type": f"{DEFS}modEventTakedown"}, taken_down)):
        subject = {"$type": "com.atproto.repo.strongRef", "uri": post.uri, "cid": post.cid}
        testnet.emit_event(event, subject)
    record(
        ledger,
        [
            on_post(author, labelled, Event.LABEL),
            on_post(author, taken_down, Event.TAKEDOWN),
            on_post(author, free, Event.LABEL),
            on_post(author, labelled, Event.REPORT),
        ],
    )
    summary = run(testnet, ledger, tmp_path, Requests())
    assert summary == EmitSummary(sent=2, settled=2)
    assert {row.reason for row in ledger.in_state(State.SUPPRESSED)} == {
        "already labelled spam",
        "already taken down",
    }


def test_a_label_that_was_taken_back_is_not_taken_back_again(
    testnet: Testnet, ledger: Ledger, author: Author, posts: list[Post], tmp_path: Path
) -> None:
    record(ledger, [on_post(author, posts[0], Event.LABEL)])
    run(testnet, ledger, tmp_path, Requests())
    record(ledger, [on_post(author, posts[0], Event.NEGATE_LABEL)])
    assert run(testnet, ledger, tmp_path, Requests()) == EmitSummary(sent=1)
    with Ledger(f"sqlite:///{tmp_path / 'another.sqlite'}") as another:
        record(another, [on_post(author, posts[0], Event.NEGATE_LABEL)])
        assert run(testnet, another, tmp_path, Requests()) == EmitSummary(settled=1)


# Outages


def test_an_ozone_that_hangs_gets_each_event_once(
    testnet: Testnet, ledger: Ledger, author: Author, posts: list[Post], tmp_path: Path
) -> None:
    record(ledger, [on_post(author, post, Event.REPORT) for post in posts[:2]])
    warm = OzoneClient(account(testnet), keep_session_in=tmp_path / "session.json")
    warm.query_events({"limit": 1})
    warm.close()
    with ExitStack() as stack:
        stack.enter_context(testnet.with_hanging_database())
        # Let go after the PDS has lost patience with the first event, and with the second.
        threading.Timer(22.0, stack.close).start()
        first = run(testnet, ledger, tmp_path, Requests())
        assert first.left_planned > 0
        time.sleep(1.0)
    while run(testnet, ledger, tmp_path, Requests()).left_planned:
        time.sleep(1.0)
    assert ledger.counts() == {State.SENT: 2}
    assert set(sent_to(testnet, author).values()) == {1}


@pytest.mark.parametrize("outage", ["without_database", "with_read_only_database"])
def test_an_ozone_that_takes_nothing_is_left_alone_and_gets_each_event_once_it_is_back(
    testnet: Testnet,
    ledger: Ledger,
    author: Author,
    posts: list[Post],
    tmp_path: Path,
    outage: str,
) -> None:
    record(ledger, [on_post(author, post, Event.REPORT) for post in posts])
    requests = Requests()
    with getattr(testnet, outage)():
        summary = run(testnet, ledger, tmp_path, requests)
        assert (summary.sent, summary.left_planned) == (0, 6)
        assert summary.not_before is not None
        assert requests.methods.count("emitEvent") == 5 * AT_ONCE.attempts
        run(testnet, ledger, tmp_path, requests)
        assert requests.methods.count("emitEvent") == 5 * AT_ONCE.attempts
    ledger.sending.save_circuit(
        f"{testnet.labeler_did} by {testnet.pds_url}", failures=5, pause=None
    )
    while run(testnet, ledger, tmp_path, requests).left_planned:
        ledger.sending.save_circuit(
            f"{testnet.labeler_did} by {testnet.pds_url}", failures=0, pause=None
        )
    assert {row.failed_runs for row in ledger.in_state(State.SENT)} == {0}
    assert set(sent_to(testnet, author).values()) == {1}
