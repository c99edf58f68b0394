"""Which failed runs are remembered, and until when."""

from datetime import timedelta

from phash_dagster.alerts.runs import (
    MOST_OPEN,
    RunFailure,
    after_look,
    to_look_at,
    with_failures,
)
from tests.alerts.builders import NOW


def failure(subject: str = "", *, minutes: int = 0, job: str = "moderate_hour") -> RunFailure:
    at = NOW + timedelta(minutes=minutes)
    return RunFailure(job, subject, f"run-{subject}-{minutes}", at)


def test_the_latest_failure_of_each_hour_is_kept() -> None:
    runs = with_failures({}, [failure("19", minutes=2), failure("18"), failure("19", minutes=1)])
    assert {hour: run.run_id for hour, run in runs["moderate_hour"].items()} == {
        "18": "run-18-0",
        "19": "run-19-2",
    }


def test_an_hour_stays_open_until_a_run_over_it_succeeds() -> None:
    runs = with_failures({}, [failure("18"), failure("19")])
    runs = after_look(runs, "moderate_hour", {"18": True, "19": False})
    assert list(runs["moderate_hour"]) == ["18"]
    assert after_look(runs, "moderate_hour", {"18": False}) == {}


def test_other_jobs_are_left_alone() -> None:
    runs = with_failures({}, [failure("18"), failure(job="write_report")])
    assert after_look(runs, "moderate_hour", {"18": False}).keys() == {"write_report"}


def test_of_many_hours_each_gets_its_turn() -> None:
    runs = with_failures({}, [failure(str(hour), minutes=hour) for hour in range(10)])
    seen: set[str] = set()
    for _ in range(4):
        subjects = to_look_at(runs, "moderate_hour", 3)
        seen.update(subjects)
        runs = after_look(runs, "moderate_hour", dict.fromkeys(subjects, True))
    assert seen == {str(hour) for hour in range(10)}
    assert len(runs["moderate_hour"]) == 10


def test_what_is_remembered_is_bounded_and_the_newest_stay() -> None:
    runs = with_failures({}, [failure(str(hour), minutes=hour) for hour in range(MOST_OPEN + 5)])
    assert len(runs["moderate_hour"]) == MOST_OPEN
    assert str(MOST_OPEN + 4) in runs["moderate_hour"]
    assert "0" not in runs["moderate_hour"]
