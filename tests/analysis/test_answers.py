"""What the questions answer is what plain Python finds in the same past."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from phash_dagster.analysis.ask import ask
from phash_dagster.analysis.questions import find_question, questions
from phash_dagster.images.model import Outcome
from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.warehouse import ImagePost
from tests.analysis.reading import opened
from tests.analysis.world import (
    DIDS,
    EXCEPTION,
    FIRST_LOAD,
    FLAT,
    GAP,
    GROUP,
    HASHES,
    LAGS,
    OUTCOMES,
    QUALITY,
    RAID,
    SECOND_LOAD,
    UNCOVERED,
    Match,
    World,
    build,
    floor,
    moment,
    version_in_force,
)
from tests.preview.past import MEME, NOW

pytestmark = pytest.mark.slow

Row = dict[str, Any]
LONG_AGO = NOW - timedelta(days=300)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("world"))


def answer(world: World, name: str, **values: Any) -> list[Row]:
    question = find_question(name)
    if "since" in {parameter.name for parameter in question.parameters}:
        values = {"since": LONG_AGO, **values}
    found: list[Row] = ask(world.path, question, values).rows.to_pylist()
    return found


def by(rows: Iterable[Row], *keys: str) -> dict[Any, Row]:
    """Rows by some of their columns; each combination once."""
    found = {tuple(row[key] for key in keys): row for row in rows}
    return {key[0] if len(key) == 1 else key: row for key, row in found.items()}


def posts(matches: Iterable[Match]) -> int:
    return len({match.post.uri for match in matches})


def accounts(matches: Iterable[Match]) -> int:
    return len({match.post.did for match in matches})


def images(matches: Iterable[Match]) -> int:
    return len({match.blob_cid for match in matches})


def hit(world: World, **changes: Any) -> list[Match]:
    """The matches within the threshold, with hashes to look for."""
    return [match for match in world.matches(**changes) if match.within and match.kind == "match"]


NEEDED = {"account": "did:plc:a", "image": "meme-0"}
"""Values of the parameters that have no default."""


@pytest.mark.parametrize("name", questions())
def test_every_question_has_an_answer_here(world: World, name: str) -> None:
    needed = {
        parameter.name: NEEDED[parameter.name]
        for parameter in find_question(name).parameters
        if parameter.default is None
    }
    found = answer(world, name, **needed)
    assert found, "this past does not try the question"
    for row in found:
        assert not {name for name in row if name.endswith(")")}, "each column has a name of its own"


@pytest.mark.parametrize("name", questions())
def test_every_question_runs_in_any_client_as_it_stands(world: World, name: str) -> None:
    question = find_question(name)
    with opened(world.path) as connection:
        for parameter in question.parameters:
            if parameter.default is None:
                connection.execute(f"SET VARIABLE {parameter.name} = $1", [NEEDED[parameter.name]])
            elif parameter.name == "since":
                connection.execute("SET VARIABLE since = '2026-11-01'")  # a text, as people do
        columns = [name for name, *_ in connection.execute(question.sql).description or ()]
        assert connection.fetchall()
    assert len(columns) == len(set(columns))


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo"])
def test_the_time_zone_of_a_client_changes_no_answer(world: World, zone: str) -> None:
    for question in questions().values():
        results = []
        for name in ("UTC", zone):
            with opened(world.path) as connection:
                connection.execute(f"SET TimeZone = '{name}'")
                for key, value in {**NEEDED, "since": LONG_AGO}.items():
                    connection.execute(f"SET VARIABLE {key} = $1", [value])
                results.append(
                    [
                        [instant(value) for value in row]
                        for row in connection.execute(question.sql).fetchall()
                    ]
                )
        assert results[0] == results[1], question.name


def instant(value: object) -> object:
    return value.timestamp() if isinstance(value, datetime) else value


def test_the_past_is_seen_as_the_tests_see_it(world: World) -> None:
    with opened(world.path) as connection:
        found = connection.execute(
            "FROM post_matches SELECT uri, rule_id, rule_hash, kind, distance, threshold, within "
            "WHERE threshold IS NOT NULL"
        ).fetchall()
    expected = [
        (m.post.uri, m.rule_id, m.rule_hash, m.kind, m.distance, m.threshold, m.within)
        for m in world.matches()
    ]
    assert sorted(found) == sorted(expected)


def test_seen_per_day(world: World) -> None:
    days: defaultdict[Any, list[ImagePost]] = defaultdict(list)
    for row in world.rows:
        days[moment(row).date()].append(row)
    found = by(answer(world, "seen-per-day"), "day")
    assert set(found) == set(days)
    for day, rows in days.items():
        cids = {row.blob_cid for row in rows if row.blob_cid}
        assert found[day] == {
            "day": day,
            "posts": len({row.uri for row in rows if row.blob_cid}),
            "accounts": len({row.did for row in rows if row.blob_cid}),
            "images": len(cids),
            "hashed": len(cids & set(HASHES)),
            "waiting": len(cids & {"waits", "waits-too"}),
            "gave_up": len(cids & {"given-up"}),
            "refused": len(cids & {"broken", "gone"}),
            "untried": len(cids & {"untried"}),
            "deleted_posts": len({row.uri for row in rows if row.operation == "delete"}),
        }


def test_busiest_hashes(world: World) -> None:
    found = answer(world, "busiest-hashes")
    groups: defaultdict[tuple[str, str], list[Match]] = defaultdict(list)
    for match in hit(world):
        groups[match.rule_id, match.rule_hash].append(match)
    assert {(row["rule_id"], row["rule_hash"]) for row in found} == set(groups)
    for row in found:
        matches = groups[row["rule_id"], row["rule_hash"]]
        assert row["posts"] == posts(matches)
        assert row["accounts"] == accounts(matches)
        assert row["images"] == images(matches)
        assert row["exact"] == posts(match for match in matches if match.distance == 0)
        assert row["farthest"] == max(match.distance for match in matches)
        assert row["last_seen"] == max(moment(match.post) for match in matches)
        assert (row["set_aside"] is not None) == (row["rule_id"] == "flat")
    assert [row["posts"] for row in found] == sorted((row["posts"] for row in found), reverse=True)


def test_a_period_begins_at_a_full_hour_and_a_number_of_rows_is_kept_to(world: World) -> None:
    since = NOW - timedelta(hours=6)
    [row] = answer(world, "busiest-hashes", since=since, most=1)
    counts = Counter((match.rule_id, match.post.uri) for match in hit(world, hours=6))
    most = Counter(rule_id for rule_id, _ in counts).most_common(1)
    assert (row["rule_id"], row["posts"]) == most[0]


def test_account_matches(world: World) -> None:
    found = answer(world, "account-matches", account=DIDS[0])
    expected = [match for match in world.matches() if match.post.did == DIDS[0]]
    # With the matches of a rule that is no longer in force.
    in_force = [row for row in found if row["threshold"] is not None]
    assert {row["rule_id"] for row in found} - {row["rule_id"] for row in in_force} == {"old"}
    assert sorted((row["uri"], row["rule_hash"], row["distance"]) for row in in_force) == sorted(
        (match.post.uri, match.rule_hash, match.distance) for match in expected
    )
    for row in found:
        done = {
            f"{action.event} {action.value} ({action.state})"
            for action in world.actions
            if (action.source_uri, action.rule_id) == (row["uri"], row["rule_id"])
        }
        assert set(row["actions"] or ()) == done
    assert any(row["actions"] for row in found)


def test_uncovered_clusters(world: World) -> None:
    found = by(answer(world, "uncovered-clusters", accounts=3), "hash")
    by_hash: defaultdict[int, list[ImagePost]] = defaultdict(list)
    for row in world.seen():
        if row.blob_cid in HASHES and QUALITY.get(row.blob_cid, 60) >= 10:
            by_hash[HASHES[row.blob_cid]].append(row)
    covered = {HASHES[match.blob_cid] for match in hit(world)}
    covered |= {HASHES[m.blob_cid] for m in world.matches() if m.kind == "except" and m.within}
    expected = {
        f"{value:016x}": (
            len({row.did for row in rows}),
            len({row.uri for row in rows}),
            len({row.blob_cid for row in rows}),
        )
        for value, rows in by_hash.items()
        if len({row.did for row in rows}) >= 3 and value not in covered
    }
    assert {
        text: (row["accounts"], row["posts"], row["images"]) for text, row in found.items()
    } == expected
    assert expected[f"{UNCOVERED:016x}"][2] == 2


def test_near_clusters(world: World) -> None:
    found = by(answer(world, "near-clusters"), "hash")
    members = [name for name in HASHES if name.startswith("group-")]
    of_group = [row for row in world.seen() if row.blob_cid in members]
    middles = {f"{HASHES[name]:016x}" for name in members} & set(found)
    assert len(middles) == 1, "one group around its most posted hash"
    row = found[middles.pop()]
    assert row["hashes"] == 3
    assert row["images"] == 3
    assert row["accounts"] == len({post.did for post in of_group})
    assert row["posts"] == len({post.uri for post in of_group})
    assert f"{GROUP:016x}" not in by(answer(world, "near-clusters", distance=0), "hash")
    memes = [row for row in world.seen() if HASHES.get(str(row.blob_cid), 0) ^ MEME < 64]
    assert any(row["accounts"] >= len({post.did for post in memes}) for row in found.values())


def planned(action: Action) -> bool:
    return action.undoes is None


def test_accounts_hit_most(world: World) -> None:
    found = by(answer(world, "accounts-hit-most"), "did")
    groups: defaultdict[str, list[Action]] = defaultdict(list)
    for action in world.actions:
        if planned(action) and action.state is not State.SUPPRESSED:
            groups[action.subject_did].append(action)
    assert set(found) == set(groups)
    for did, actions in groups.items():
        row = found[did]
        assert row["posts"] == len({action.source_uri for action in actions})
        assert row["actions"] == len(actions)
        assert row["sent"] == sum(action.state is State.SENT for action in actions)
        assert row["held"] == sum(action.state is State.HELD for action in actions)
        assert row["rules"] == sorted({action.rule_id for action in actions})
        assert row["last_at"] == max(action.planned_at for action in actions)
    with opened(world.path) as connection:
        views = connection.execute("FROM top_accounts SELECT did, sent").fetchall()
    assert {did: sent for did, sent in views if did in found} == {
        did: row["sent"] for did, row in found.items()
    }


def test_actions_per_day(world: World) -> None:
    expected = Counter(
        (action.planned_at.date(), action.rule_id, action.event, action.value, action.state)
        for action in world.actions
    )
    found = answer(world, "actions-per-day")
    assert {
        (row["day"], row["rule_id"], row["event"], row["value"], row["state"]): row["actions"]
        for row in found
    } == {
        (day, rule, str(e), value, str(state)): n
        for (day, rule, e, value, state), n in expected.items()
    }


def test_held_and_failed_actions(world: World) -> None:
    held = Counter(
        (action.rule_id, action.lane, action.reason)
        for action in world.actions
        if action.state is State.HELD
    )
    found = answer(world, "held-actions")
    assert {(row["rule_id"], row["lane"], row["reason"]): row["actions"] for row in found} == held
    failed = Counter(
        (str(action.state), action.rule_id, action.reason)
        for action in world.actions
        if action.state in (State.FAILED, State.DEAD)
    )
    rows = answer(world, "failed-actions")
    assert {(row["state"], row["rule_id"], row["reason"]): row["actions"] for row in rows} == failed


@pytest.mark.parametrize("bits", [1, 2])
def test_wider_threshold(world: World, bits: int) -> None:
    found = by(answer(world, "wider-threshold", bits=bits), "rule_id")
    assert "flat" not in found, "set aside hashes do nothing at any threshold"
    nearest: dict[tuple[str, str, str], int] = {}
    for match in world.matches():
        if match.kind == "match" and match.rule_id != "flat":
            key = match.rule_id, match.post.uri, match.post.did
            beyond = match.distance - match.threshold
            nearest[key] = min(beyond, nearest.get(key, beyond))
    for rule_id in ("meme", "raid"):
        mine = {key: beyond for key, beyond in nearest.items() if key[0] == rule_id}
        more = {key for key, beyond in mine.items() if 0 < beyond <= bits}
        known = {did for (_, _, did), beyond in mine.items() if beyond <= 0}
        assert found[rule_id]["posts"] == sum(beyond <= 0 for beyond in mine.values())
        assert found[rule_id]["more_posts"] == len(more) > 0
        assert found[rule_id]["by_accounts"] == len({did for _, _, did in more})
        assert found[rule_id]["by_new_accounts"] == len({did for _, _, did in more} - known)
        assert found[rule_id]["example"] in {uri for _, uri, _ in more}


def test_distances(world: World) -> None:
    nearest: dict[tuple[str, str], int] = {}
    for match in world.matches():
        if match.kind == "match":
            key = match.rule_id, match.post.uri
            nearest[key] = min(match.distance, nearest.get(key, match.distance))
    expected = Counter((rule_id, bits) for (rule_id, _), bits in nearest.items())
    found = answer(world, "distances")
    assert {(row["rule_id"], row["distance"]): row["posts"] for row in found} == expected
    assert all(row["within"] == (row["distance"] <= 3) for row in found if row["rule_id"] == "meme")


def test_silent_rules(world: World) -> None:
    assert {row["rule_id"] for row in answer(world, "silent-rules")} == {"silent"}
    lately = by(answer(world, "silent-rules", since=NOW), "rule_id")
    assert set(lately) == {"meme", "raid", "flat", "silent"} - {
        match.rule_id for match in hit(world, hours=0)
    }
    assert lately["silent"]["nearest"] is None
    assert lately["meme"]["nearest"] == 0
    assert lately["meme"]["in_force_since"] == SECOND_LOAD, "its threshold grew"


def test_hashes_set_aside(world: World) -> None:
    [row] = answer(world, "hashes-set-aside")
    matches = [match for match in hit(world) if match.rule_id == "flat"]
    assert row["rule_hash"] == f"{FLAT:016x}"
    assert "flat-hash" in row["set_aside"]
    assert (row["posts"], row["accounts"], row["images"]) == (
        posts(matches),
        accounts(matches),
        images(matches),
    )
    assert row["images"] == 2


def test_too_plain(world: World) -> None:
    found = by(answer(world, "too-plain"), "rule_id")
    for rule_id in ("meme", "flat"):
        matches = [match for match in hit(world) if match.rule_id == rule_id]
        plain = [match for match in matches if QUALITY.get(match.blob_cid, 60) < 10]
        assert found[rule_id]["posts"] == posts(matches)
        assert found[rule_id]["plain_posts"] == posts(plain) > 0
        assert found[rule_id]["plain_accounts"] == accounts(plain)
    assert found["raid"]["plain_posts"] == 0


def test_spared_by_exceptions(world: World) -> None:
    [row] = answer(world, "spared-by-exceptions")
    # At distances 1 and 2 to the hash they are at 0 and 1 to the exception.
    spared = [match for match in hit(world) if match.blob_cid in ("raid-1", "raid-2")]
    assert (row["rule_id"], row["exception"]) == ("raid", EXCEPTION)
    assert (row["posts"], row["accounts"], row["images"]) == (posts(spared), accounts(spared), 2)
    assert any(match.blob_cid == "raid-far" for match in hit(world)), "which no exception spares"


def test_lag_per_hour(world: World) -> None:
    found = by(answer(world, "lag-per-hour"), "hour")
    for hours, lags in LAGS.items():
        row = found[f"{NOW - timedelta(hours=hours):%Y-%m-%d-%H}"]
        assert row["batches"] == len(lags)
        assert row["median_seconds"] == round(statistics.median(lags), 1)
        assert row["longest_seconds"] == max(lags)
        assert row["events"] == 90 * len(lags)
    lately = answer(world, "lag-per-hour", since=NOW - timedelta(hours=3))
    assert [row["hour"] for row in lately] == ["2026-11-23-19", "2026-11-23-18"]


def test_missing_events(world: World) -> None:
    [row] = answer(world, "missing-events")
    assert row["from_time"].timestamp() * 1e6 == GAP.from_us
    assert row["seconds"] == 600
    assert row["reason"] == GAP.reason
    assert answer(world, "missing-events", since=NOW) == []


def test_coverage_per_hour(world: World) -> None:
    found = by(answer(world, "coverage-per-hour"), "hour")
    hours: defaultdict[str, set[str]] = defaultdict(set)
    for seen in world.seen():
        hours[f"{moment(seen):%Y-%m-%d-%H}"].add(str(seen.blob_cid))
    assert set(found) == set(hours)
    for hour, cids in hours.items():
        row = found[hour]
        assert row["seen"] == len(cids)
        assert row["hashed"] == len(cids & set(HASHES))
        for outcome in Outcome:
            if outcome is not Outcome.hashed:
                expected = {cid for cid in cids if OUTCOMES.get(cid) is outcome}
                assert row[outcome] == len(expected)
        assert row["untried"] == len(cids & {"untried"})
        assert row["hashed_percent"] == round(100 * row["hashed"] / row["seen"], 1)


def test_failing_hosts(world: World) -> None:
    found = by(answer(world, "failing-hosts"), "host")
    row = found["pds.example:2583"]
    assert row["accounts"] == 1
    assert row["images"] == len(OUTCOMES)
    assert (row["waiting"], row["gave_up"], row["refused"]) == (2, 1, 2)
    assert row["failures_in_a_row"] == 4
    assert row["not_asked_until"] == NOW + timedelta(minutes=5)
    assert row["next_retry_at"] == NOW + timedelta(minutes=1)
    assert found["not looked up lately"]["images"] == 2


def test_waiting_images(world: World) -> None:
    [row] = answer(world, "waiting-images")
    assert (row["images"], row["accounts"], row["most_attempts"]) == (2, 1, 1)
    assert row["next_retry_at"] == NOW + timedelta(minutes=1)


def test_time_to_action(world: World) -> None:
    first: dict[str, datetime] = {}
    for row in world.seen():
        first[row.uri] = min(moment(row), first.get(row.uri, moment(row)))
    waits: defaultdict[str, list[float]] = defaultdict(list)
    for action in world.actions:
        if action.state is State.SENT and action.lane == "live" and planned(action):
            assert action.sent_at is not None
            if action.source_uri in first:
                waits[action.event].append(
                    (action.sent_at - first[action.source_uri]).total_seconds()
                )
    found = by(answer(world, "time-to-action"), "event")
    assert set(found) == set(waits)
    for event, seconds in waits.items():
        assert found[event]["actions"] == len(seconds)
        assert found[event]["median_to_sent"] == pytest.approx(statistics.median(seconds), abs=0.1)
        assert found[event]["longest_to_sent"] == pytest.approx(max(seconds), abs=0.1)


def test_repeat_offenders(world: World) -> None:
    days: defaultdict[str, set[Any]] = defaultdict(set)
    for action in world.actions:
        if planned(action) and action.lane == "live" and action.state is not State.SUPPRESSED:
            days[action.subject_did].add(action.planned_at.date())
    for least in (2, 3):
        found = answer(world, "repeat-offenders", days=least)
        assert {row["did"]: row["days"] for row in found} == {
            did: len(dates) for did, dates in days.items() if len(dates) >= least
        }


def test_labels_by_lane(world: World) -> None:
    labels = [action for action in world.actions if action.event is Event.LABEL]
    expected = Counter((action.value, action.lane) for action in labels)
    found = by(answer(world, "labels-by-lane"), "label", "lane")
    assert {key: row["actions"] for key, row in found.items()} == expected
    for row in found.values():
        parts = ("sent", "shadow", "held", "suppressed", "others")
        assert sum(row[part] for part in parts) == row["actions"]
    assert sum(row["sent"] for row in found.values()) == sum(
        action.state is State.SENT for action in labels
    )


def test_least_precise(world: World) -> None:
    sent: Counter[tuple[str, str, int]] = Counter()
    wrong: Counter[tuple[str, str, int]] = Counter()
    for action in world.actions:
        is_sent = action.state is State.SENT and action.mode == "live" and planned(action)
        if is_sent and action.event in (Event.LABEL, Event.TAKEDOWN):
            key = action.rule_id, action.rule_hash, action.distance
            sent[key] += 1
            wrong[key] += action.action_id in world.reversed
    found = answer(world, "least-precise", most=100)
    keys = [(row["rule_id"], row["rule_hash"], row["distance"]) for row in found]
    assert dict(zip(keys, (row["actions"] for row in found), strict=True)) == sent
    for key, row in zip(keys, found, strict=True):
        assert row["reversed_by_people"] == wrong[key]
        assert row["precision"] == round(1 - wrong[key] / sent[key], 3)
    assert sum(wrong.values()) == 2
    assert found[0]["precision_low"] == min(row["precision_low"] for row in found)


def test_version_changes(world: World) -> None:
    found = by(answer(world, "version-changes"), "rule_id", "kind", "rule_hash")
    assert {key: row["changes"] for key, row in found.items()} == {
        ("meme", "match", f"{MEME:016x}"): ["threshold 2 to 3"],
        ("raid", "match", RAID): ["added"],
        ("raid", "except", EXCEPTION): ["added"],
        ("flat", "match", f"{FLAT:016x}"): [
            "added",
            next(
                iter(
                    change
                    for change in found["flat", "match", f"{FLAT:016x}"]["changes"]
                    if change.startswith("set aside")
                )
            ),
        ],
        ("silent", "match", f"{0x9D3F00C1A5B2774E:016x}"): ["added"],
        ("old", "match", RAID): ["removed"],
    }
    meme = found["meme", "match", f"{MEME:016x}"]
    assert meme["images"] == images(match for match in hit(world) if match.rule_id == "meme")
    raid = found["raid", "match", RAID]
    assert (
        raid["images"]
        == raid["first_found"]
        == images(match for match in hit(world) if match.rule_id == "raid")
    )
    version = version_in_force(world)
    assert answer(world, "version-changes", version=version[:8]) == list(found.values())
    assert answer(world, "version-changes", version="none") == []


def test_rule_history(world: World) -> None:
    second, first = answer(world, "rule-history")
    assert (first["load_number"], second["load_number"]) == (1, 2)
    assert (first["loaded_at"], second["loaded_at"]) == (FIRST_LOAD, SECOND_LOAD)
    assert second["version"] == version_in_force(world)
    assert (first["rules"], second["rules"]) == (2, 4)
    assert (second["hashes"], second["set_aside"]) == (4, 1)
    assert second["hours"] == len(world.posts.partition_keys())
    assert first["hours"] == 0


def test_image_history(world: World) -> None:
    found = answer(world, "image-history", image="meme-2")
    kinds = Counter(row["what"] for row in found)
    assert kinds == {
        "post": len({row.uri for row in world.seen() if row.blob_cid == "meme-2"}),
        "outcome": 1,
        "hash": 1,
        "match": 1,
        "action": sum("meme-2" in action.blob_cids for action in world.actions),
    }
    times = [row["happened_at"] for row in found]
    assert times == sorted(times)
    [text] = [row["details"] for row in found if row["what"] == "hash"]
    assert text == f"average {HASHES['meme-2']:016x}, quality 60, 640x480 jpeg"
    assert answer(world, "image-history", image="nothing") == []


def test_deleted_matches(world: World) -> None:
    found = by(answer(world, "deleted-matches"), "rule_id")
    row = found["meme"]
    assert row["posts"] == posts(match for match in hit(world) if match.rule_id == "meme")
    assert (row["deleted"], row["by_accounts"]) == (2, 1)
    assert row["median_minutes"] == pytest.approx((3 + 90) / 2, abs=0.1)
    assert row["soonest_minutes"] == pytest.approx(3, abs=0.1)
    assert found["raid"]["deleted"] == 0


def test_posting_together(world: World) -> None:
    shared: defaultdict[str, set[int]] = defaultdict(set)
    for match in hit(world):
        shared[match.post.did].add(HASHES[match.blob_cid])
    pairs = {
        (one, other): len(shared[one] & shared[other])
        for one in shared
        for other in shared
        if one < other
    }
    for least in (2, 3):
        found = answer(world, "posting-together", shared=least, most=1000)
        assert {(row["account"], row["other_account"]): row["shared_images"] for row in found} == {
            pair: number for pair, number in pairs.items() if number >= least
        }


def test_the_views_for_people_agree_with_the_questions(world: World) -> None:
    with opened(world.path) as connection:
        clusters = connection.execute(
            "FROM hash_clusters SELECT day, hash, accounts, posts WHERE algorithm = 'average'"
        ).fetchall()
        rules = connection.execute(
            "FROM rules_in_force SELECT rule_id, label, mode, acts, threshold, hashes, "
            "hashes_set_aside, except_hashes ORDER BY rule_order"
        ).fetchall()
    groups: defaultdict[tuple[Any, str], list[ImagePost]] = defaultdict(list)
    for row in world.seen():
        if row.blob_cid in HASHES:
            groups[moment(row).date(), f"{HASHES[row.blob_cid]:016x}"].append(row)
    assert {(day, text): (dids, uris) for day, text, dids, uris in clusters} == {
        key: (len({row.did for row in rows}), len({row.uri for row in rows}))
        for key, rows in groups.items()
        if len({row.did for row in rows}) > 1
    }
    assert rules == [
        ("meme", "meme", "live", ["label post"], 3, 1, 0, 0),
        ("raid", "raid", "shadow", ["label post"], 2, 1, 0, 1),
        ("flat", "flat", "live", ["label post"], 3, 1, 1, 0),
        ("silent", "silent", "live", ["label post"], 3, 1, 0, 0),
    ]


def test_every_question_is_tried_by_a_test_of_its_own() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    for name in questions():
        assert f'answer(world, "{name}"' in text, f"{name} is not compared with the truth"


def test_floor_is_what_hour_of_is(world: World) -> None:
    with opened(world.path) as connection:
        for at in (NOW, NOW - timedelta(hours=5, minutes=15, microseconds=1)):
            [(hour,)] = connection.execute("SELECT hour_of($1)", [at]).fetchall()
            assert hour == f"{floor(at):%Y-%m-%d-%H}"
