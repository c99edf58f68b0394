"""Who is exempt: by the settings, and by lists as they were last read."""

from datetime import timedelta

import pytest

from phash_dagster.moderation.actions import Event, State
from phash_dagster.moderation.emit import emit_planned
from phash_dagster.moderation.exemptions import (
    ListState,
    exempt_accounts,
    list_states,
    never_read,
    save_lists,
)
from phash_dagster.moderation.unwanted import suppress_unwanted
from tests.moderation.bench import Bench, a_rule, account, post
from tests.moderation.builders import DID, NOW, action_on_account, action_on_post

LIST, OTHER = (f"at://did:plc:owner/app.bsky.graph.list/{name}" for name in ("a", "b"))
BY_NAME = "account is exempt (EXEMPT_DIDS)"
BY_LIST = f"account is exempt (list {LIST})"


def configure(bench: Bench, dids: tuple[str, ...] = (), lists: tuple[str, ...] = ()) -> None:
    bench.settings = bench.settings.model_copy(update={"exempt_dids": dids, "exempt_lists": lists})


def read(bench: Bench, *members: str, uri: str = LIST) -> None:
    """Keep a list as read, with these members."""
    state = ListState(uri, NOW, len(members), NOW, None)
    with bench.warehouse.write() as connection:
        save_lists(connection, [state], {uri: members}, bench.settings)


def exempt(bench: Bench, *dids: str) -> dict[str, str]:
    with bench.warehouse.read() as connection:
        return dict(exempt_accounts(connection, bench.settings, dids))


def suppress(bench: Bench) -> int:
    return suppress_unwanted(
        bench.ledger, bench.warehouse, bench.posts, bench.clock(), bench.settings
    )


def test_accounts_are_exempt_by_name_and_by_list(bench: Bench) -> None:
    configure(bench, ("did:plc:named", "did:plc:both"), (LIST,))
    read(bench, "did:plc:listed", "did:plc:both")
    assert exempt(bench, "did:plc:named", "did:plc:listed", "did:plc:both", "did:plc:other") == {
        "did:plc:named": BY_NAME,
        "did:plc:listed": BY_LIST,
        "did:plc:both": BY_NAME,
    }


def test_a_list_that_is_no_longer_named_exempts_nobody(bench: Bench) -> None:
    configure(bench, lists=(LIST,))
    read(bench, "did:plc:listed")
    configure(bench)
    assert exempt(bench, "did:plc:listed") == {}


def test_members_are_replaced_when_a_list_is_read_again(bench: Bench) -> None:
    configure(bench, lists=(LIST, OTHER))
    read(bench, "did:plc:one", "did:plc:two")
    read(bench, "did:plc:kept", uri=OTHER)
    read(bench, "did:plc:two", "did:plc:three")
    assert set(exempt(bench, "did:plc:one", "did:plc:two", "did:plc:three", "did:plc:kept")) == {
        "did:plc:two",
        "did:plc:three",
        "did:plc:kept",
    }


def test_a_list_that_could_not_be_read_keeps_its_members(bench: Bench) -> None:
    configure(bench, lists=(LIST,))
    read(bench, "did:plc:listed")
    failed = ListState(LIST, NOW, 1, NOW + timedelta(hours=1), "its PDS answered 503")
    with bench.warehouse.write() as connection:
        save_lists(connection, [failed], {}, bench.settings)
        assert list_states(connection, bench.settings) == [failed]
    assert exempt(bench, "did:plc:listed") == {"did:plc:listed": BY_LIST}


def test_what_is_known_of_a_list_is_forgotten_with_the_setting(bench: Bench) -> None:
    configure(bench, lists=(LIST, OTHER))
    read(bench, "did:plc:listed")
    configure(bench, lists=(OTHER,))
    read(bench, "did:plc:other", uri=OTHER)
    configure(bench, lists=(LIST, OTHER))
    with bench.warehouse.read() as connection:
        assert never_read(connection, bench.settings) == (LIST,)
    assert exempt(bench, "did:plc:listed") == {}


def test_a_list_is_never_read_until_its_members_came_once(bench: Bench) -> None:
    configure(bench, lists=(LIST,))
    with bench.warehouse.write() as connection:
        assert never_read(connection, bench.settings) == (LIST,)
        failed = ListState(LIST, None, None, NOW, "its PDS answered 503")
        save_lists(connection, [failed], {}, bench.settings)
        assert never_read(connection, bench.settings) == (LIST,)
    read(bench)
    with bench.warehouse.read() as connection:
        assert never_read(connection, bench.settings) == ()


# What follows for planning


@pytest.mark.parametrize("lane", ["live", "backfill"])
def test_what_an_exempt_account_posts_is_suppressed_with_the_reason(
    bench: Bench, lane: str
) -> None:
    configure(bench, (DID,))
    bench.load(a_rule(labelAcct=True, reportPost=True))
    bench.write(post())
    bench.plan(lane="live" if lane == "live" else "backfill")
    assert {(row.state, row.reason) for row in bench.rows()} == {(State.SUPPRESSED, BY_NAME)}


def test_members_of_a_list_are_exempt_and_others_are_not(bench: Bench) -> None:
    configure(bench, lists=(LIST,))
    read(bench, DID)
    other = "did:plc:other"
    bench.write(post(), post("two", did=other, uri=f"at://{other}/app.bsky.feed.post/two"))
    bench.plan()
    assert {row.subject_did: (row.state, row.reason) for row in bench.rows()} == {
        DID: (State.SUPPRESSED, BY_LIST),
        other: (State.PLANNED, None),
    }


def test_an_account_that_is_gone_and_exempt_is_gone(bench: Bench) -> None:
    configure(bench, (DID,))
    bench.write(post(), account("deleted", at=NOW + timedelta(minutes=5)))
    bench.plan()
    assert [row.reason for row in bench.rows()] == ["account deleted"]


def test_an_account_that_is_no_longer_exempt_is_acted_upon_again(bench: Bench) -> None:
    configure(bench, (DID,))
    bench.write(post())
    bench.plan()
    configure(bench)
    bench.plan()
    assert bench.states() == ["suppressed", "planned"]


def test_what_waits_to_be_sent_is_suppressed_once_its_account_is_exempt(bench: Bench) -> None:
    bench.write(post())
    bench.plan()
    configure(bench, lists=(LIST,))
    read(bench, DID)
    assert suppress(bench) == 1
    [row] = bench.rows()
    assert (row.state, row.reason) == (State.SUPPRESSED, BY_LIST)


def test_what_is_held_is_suppressed_once_its_account_is_exempt(bench: Bench) -> None:
    held = [action_on_post(state=State.HELD), action_on_post("x", did="b", state=State.HELD)]
    bench.ledger.record(held, claim_ttl=timedelta(days=7))
    assert suppress(bench) == 0
    configure(bench, (DID,))
    assert suppress(bench) == 1
    assert bench.states() == ["suppressed", "held"]


@pytest.mark.parametrize("state", [State.PLANNED, State.HELD])
def test_an_action_on_an_exempt_account_can_still_be_taken_back(bench: Bench, state: State) -> None:
    configure(bench, (DID,))
    undoing = action_on_account(event=Event.NEGATE_LABEL, undoes=1, state=state, rule_id="troll")
    bench.load(a_rule(labelAcct=True, toLabel=False))
    bench.ledger.record([undoing], claim_ttl=timedelta(days=7))
    suppress(bench)
    assert BY_NAME not in {row.reason for row in bench.rows()}


def test_what_an_emitter_took_up_is_settled_and_not_suppressed(bench: Bench) -> None:
    bench.write(post())
    bench.plan()
    bench.ledger.mark_sending(bench.rows()[0].action_id)
    configure(bench, (DID,))
    assert suppress(bench) == 0
    assert bench.states() == ["sending"]


# What follows for sending


def test_nothing_is_sent_while_nobody_knows_who_is_exempt(bench: Bench) -> None:
    bench.write(post())
    bench.plan()
    summary = emit_planned(bench.ledger, bench.settings, bench.clock, unread_lists=[LIST])
    assert (summary.sent, summary.left_planned) == (0, 1)
    assert f"{LIST} was never read" in str(summary.stopped)
    assert bench.states() == ["planned"]
