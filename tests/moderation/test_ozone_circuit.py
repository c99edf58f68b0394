"""How an Ozone that fails is left alone, and for how long."""

from datetime import timedelta

import pytest

from phash_dagster.moderation.ozone_circuit import LONGEST_PAUSE, OzoneCircuit, Pause, PauseKind
from tests.moderation.builders import NOW, ManualClock


class Memory:
    """Keeps what is known between two runs."""

    def __init__(self) -> None:
        self.failures, self.pause, self.saved = 0, None, 0

    failures: int
    pause: Pause | None

    def load_circuit(self, service: str) -> tuple[int, Pause | None]:
        return self.failures, self.pause

    def save_circuit(self, service: str, failures: int, pause: Pause | None) -> None:
        self.failures, self.pause = failures, pause
        self.saved += 1


@pytest.fixture
def memory() -> Memory:
    return Memory()


def circuit(memory: Memory, clock: ManualClock) -> OzoneCircuit:
    """As a new run finds it."""
    return OzoneCircuit(memory, "ozone", clock)


def test_five_failures_in_a_row_make_a_pause_of_a_minute(
    memory: Memory, clock: ManualClock
) -> None:
    pauses = [circuit(memory, clock).failed("502 UpstreamFailure") for _ in range(5)]
    assert pauses[:4] == [None] * 4
    assert pauses[4] == Pause(
        NOW,
        NOW + timedelta(seconds=60),
        PauseKind.OUTAGE,
        "5 failures in a row, the last: 502 UpstreamFailure",
    )
    assert circuit(memory, clock).pause() == pauses[4]


def test_an_answer_between_failures_starts_the_count_anew(
    memory: Memory, clock: ManualClock
) -> None:
    for _ in range(2):
        for _ in range(4):
            circuit(memory, clock).failed("502")
        circuit(memory, clock).answered()
    assert circuit(memory, clock).pause() is None


def test_after_the_pause_one_failure_begins_another(memory: Memory, clock: ManualClock) -> None:
    for _ in range(5):
        circuit(memory, clock).failed("502")
    clock.advance(seconds=59)
    assert not circuit(memory, clock).is_half_open
    clock.advance(seconds=1)
    assert circuit(memory, clock).is_half_open
    again = circuit(memory, clock).failed("502")
    assert again is not None
    assert again.until == clock() + timedelta(seconds=60)


def test_after_the_pause_one_answer_ends_it_all(memory: Memory, clock: ManualClock) -> None:
    for _ in range(5):
        circuit(memory, clock).failed("502")
    clock.advance(seconds=60)
    circuit(memory, clock).answered()
    assert not circuit(memory, clock).is_half_open
    assert circuit(memory, clock).failed("502") is None


def test_a_server_that_asks_for_it_is_left_alone_without_counting_as_down(
    memory: Memory, clock: ManualClock
) -> None:
    pause = circuit(memory, clock).wait(90.0, "429 RateLimitExceeded")
    assert (pause.kind, pause.until) == (PauseKind.LIMIT, NOW + timedelta(seconds=90))
    clock.advance(seconds=90)
    assert circuit(memory, clock).pause() is None
    assert not circuit(memory, clock).is_half_open


@pytest.mark.parametrize(("asked", "kept"), [(1e12, LONGEST_PAUSE.total_seconds()), (0.0, 1.0)])
def test_a_pause_is_neither_endless_nor_none(
    memory: Memory, clock: ManualClock, asked: float, kept: float
) -> None:
    assert circuit(memory, clock).wait(asked, "429").until == NOW + timedelta(seconds=kept)


def test_a_clock_that_was_set_back_ends_a_pause(memory: Memory, clock: ManualClock) -> None:
    for _ in range(5):
        circuit(memory, clock).failed("502")
    clock.advance(days=-3)
    assert circuit(memory, clock).pause() is None
    again = circuit(memory, clock).failed("502")
    assert again is not None
    assert again.until == clock() + timedelta(seconds=60)


def test_an_ozone_that_is_well_costs_no_write(memory: Memory, clock: ManualClock) -> None:
    for _ in range(3):
        circuit(memory, clock).answered()
    assert memory.saved == 0


def test_a_pause_says_until_when_and_why(memory: Memory, clock: ManualClock) -> None:
    pause = circuit(memory, clock).refused("the PDS refused the login")
    assert str(pause) == (
        "Ozone is not asked before 2026-11-23 20:16:00 UTC: the PDS refused the login"
    )
