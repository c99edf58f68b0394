"""Whatever is interleaved, the rows are those of an undisturbed reading."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phash_dagster.jetstream.batch import Batch, BatchLimits
from phash_dagster.jetstream.cursor import Cursor
from phash_dagster.warehouse import ImagePost
from tests.jetstream.fakes import SECOND, FakeClock, FakeHost, FakeNetwork, Happening
from tests.jetstream.frames import TIME_US

pytestmark = pytest.mark.slow

Row = tuple[str, str | None, str | None, str]
HOSTS = ("a", "b", "c")


def without_host(rows: Iterable[ImagePost]) -> set[Row]:
    return {(row.uri, row.cid, row.blob_cid, row.operation) for row in rows}


@dataclass
class Pipeline:
    """The caller of `read_batch`: files by name, and the cursor stored after them."""

    network: FakeNetwork
    cursor: Cursor
    files: dict[str, list[ImagePost]] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)

    def tick(self, limits: BatchLimits | None = None, *, killed: bool = False) -> Batch:
        batch = self.network.read(self.cursor, limits)
        if batch.rows:
            self.files[batch.start.name] = batch.rows
        if not killed:
            self.cursor = Cursor.from_json(batch.cursor.to_json())
        self.batches.append(batch)
        return batch

    @property
    def rows(self) -> set[Row]:
        return without_host(row for rows in self.files.values() for row in rows)


intervals = st.sampled_from([1, 1000, 20_000, 300_000, SECOND, 3 * SECOND, 20 * SECOND])


@st.composite
def happenings(draw: st.DrawFn) -> list[Happening]:
    time_us, events = TIME_US, []
    for number, gap in enumerate(draw(st.lists(intervals, min_size=10, max_size=60))):
        time_us += gap
        events.append(Happening(f"r{number}", time_us))
    return events


def host_of(events: list[Happening]) -> st.SearchStrategy[FakeHost]:
    def build(
        ahead: int, late: int, seq: int | None, v2: bool, repeats: int, shuffled: int
    ) -> FakeHost:
        if v2 and seq is None:
            seq = 1
        return FakeHost(
            events,
            ahead_us=ahead * SECOND,
            late_us=late * SECOND // 10,
            first_seq=seq,
            v2=v2,
            repeats=repeats,
            shuffled_us=shuffled * 1000 if seq is None else 0,
        )

    return st.builds(
        build,
        st.integers(-25, 25),
        st.integers(0, 50),
        st.none() | st.integers(1, 10**12),
        st.booleans(),
        st.sampled_from([0, 0, 1, 3]),
        st.sampled_from([0, 33, 400]),
    )


Step = Literal["tick", "killed", "wait", "leave"]
steps = st.lists(
    st.tuples(
        st.sampled_from(["tick", "tick", "killed", "wait", "leave"]), st.sampled_from([1, 2, 1000])
    ),
    min_size=5,
    max_size=30,
)


@settings(max_examples=300)
@given(
    hosts_and_events=happenings().flatmap(
        lambda events: st.tuples(st.lists(host_of(events), min_size=3, max_size=3), st.just(events))
    ),
    plan=steps,
    behind=st.sampled_from([0, 20, 3600]),
)
def test_any_interleaving_of_kills_duplicates_and_fail_overs_yields_the_same_rows(
    hosts_and_events: tuple[list[FakeHost], list[Happening]],
    plan: list[tuple[Step, int]],
    behind: int,
) -> None:
    listed, events = hosts_and_events
    hosts = dict(zip(HOSTS, listed, strict=True))
    clock = FakeClock(TIME_US + behind * SECOND)
    # Which events a first start takes is a matter of clocks; all of these come well after it.
    pipeline = Pipeline(FakeNetwork(hosts, clock), Cursor(TIME_US - 60 * SECOND))
    for what, number in plan:
        if what == "leave":
            for name, host in hosts.items():
                host.down = name == pipeline.cursor.host
        elif what == "wait":
            clock.true_us += number * SECOND // 10
        else:
            pipeline.tick(BatchLimits(3, number), killed=what == "killed")
    read_to_the_end(pipeline, hosts, events)

    undisturbed = Pipeline(
        FakeNetwork({"a": FakeHost(events)}, FakeClock(events[-1].true_us)), Cursor(TIME_US)
    )
    undisturbed.tick()
    assert pipeline.rows == undisturbed.rows
    assert [batch.gaps for batch in pipeline.batches if batch.gaps] == []


def read_to_the_end(pipeline: Pipeline, hosts: dict[str, Any], events: list[Happening]) -> None:
    clock = pipeline.network.clock
    clock.true_us = max(clock.true_us, events[-1].true_us) + 10 * SECOND
    for host in hosts.values():
        host.down = False
    for _ in range(10 * len(events)):
        clock.true_us += (
            400 * SECOND if not pipeline.batches[-1:] or not pipeline.batches[-1].host else 0
        )
        if not pipeline.tick(BatchLimits(3, 1000)).events and pipeline.batches[-1].host:
            return
    raise AssertionError("reading never came to an end")
