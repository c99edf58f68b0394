"""The sensor that tells a webhook what fails, over Dagster's real storage and a real webhook."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)

from phash_dagster.clock import utc_now
from phash_dagster.definitions import definitions
from phash_dagster.defs.alerts import alert_sensor
from phash_dagster.defs.failing import FAILED_TICKS, check_keys_of
from phash_dagster.settings import Settings, settings_from
from tests.alerts.webhook import Webhook, running_webhook
from tests.defs.sensor_state import add_ticks, sqlite_instance

pytestmark = pytest.mark.slow

SECRET = "abcd-efgh-ijkl-mnop"


@dg.op
def work(context: dg.OpExecutionContext) -> None:
    """Do as the run's tags say."""
    match context.run.tags.get("do"):
        case "fail":
            raise dg.Failure("the disk is full; free some space", allow_retries=False)
        case "crash":
            cause = ValueError(f"not <b>good</b>, @everyone {SECRET}")
            raise RuntimeError("outer") from cause


@dg.job
def hourly() -> None:
    """Work over an hour."""
    work()


@dg.job
def daily() -> None:
    """Work without hours."""
    work()


@dg.asset
def thing() -> None:
    """Something that is checked."""


@dg.asset_check(asset=thing)
def lag() -> dg.AssetCheckResult:
    """A check."""
    return dg.AssetCheckResult(passed=True)


@dg.asset_check(asset=thing)
def never_evaluated() -> dg.AssetCheckResult:
    """A check without evaluations."""
    return dg.AssetCheckResult(passed=True)


@dg.sensor(job=daily)
def busy_sensor() -> None:
    """A sensor."""


REPOSITORY = dg.Definitions(
    assets=[thing],
    asset_checks=[lag, never_evaluated],
    jobs=[hourly, daily],
    sensors=[busy_sensor],
    schedules=[dg.ScheduleDefinition(name="every_morning", job=daily, cron_schedule="0 6 * * *")],
).get_repository_def()


@dataclass
class Alarms:
    """The sensor, called as Dagster does: with its last cursor."""

    instance: dg.DagsterInstance
    webhook: Webhook
    settings: Settings
    now: datetime = field(default_factory=utc_now)
    cursor: str | None = None
    skipped: str = ""

    def look(self, **later: float) -> list[str]:
        """What is told after so much time: what is seen then, and told a moment later."""
        self.now += timedelta(**later)
        told = len(self.webhook.texts())
        self.once()
        self.once()
        return self.webhook.texts()[told:]

    def once(self) -> None:
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=REPOSITORY
        )
        result = alert_sensor(context, settings=self.settings, clock=lambda: self.now)
        if isinstance(result, dg.SkipReason):
            self.skipped = str(result.skip_message)
            return
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        assert isinstance(result.skip_reason, dg.SkipReason)
        self.skipped = str(result.skip_reason.skip_message)

    def run(self, job: dg.JobDefinition, do: str = "", hour: str = "") -> str:
        tags = {"do": do} | ({"dagster/partition": hour} if hour else {})
        result = job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)
        self.now = max(self.now, utc_now())
        return result.run_id

    def fail(self, job: dg.JobDefinition, hour: str = "") -> str:
        """A run that failed without a word, which takes less time."""
        tags = {"dagster/partition": hour} if hour else {}
        run = self.instance.create_run_for_job(job, tags=tags)
        self.instance.report_run_failed(run)
        self.now = max(self.now, utc_now())
        return run.run_id

    def evaluate(self, *, passed: bool, warns: bool = False, says: str = "it is late") -> None:
        severity = dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(thing.key, "lag", passed, severity=severity, description=says)
        )


@pytest.fixture
def alarms(tmp_path: Path) -> Iterator[Alarms]:
    with running_webhook() as webhook, sqlite_instance(tmp_path / "dagster") as instance:
        settings = settings_from(
            {
                "ALERT_WEBHOOK_URL": webhook.url,
                "DAGSTER_URL": "https://dagster.test",
                "AUTOMOD_PASSWORD": SECRET,
            }
        )
        yield Alarms(instance, webhook, settings)


def test_without_a_webhook_nothing_is_looked_at_and_nothing_is_sent(alarms: Alarms) -> None:
    alarms.settings = settings_from({})
    alarms.evaluate(passed=False)
    assert alarms.look() == []
    assert alarms.webhook.requests == 0
    assert alarms.skipped == "ALERT_WEBHOOK_URL is not set: nothing is told."


def test_when_all_is_well_nothing_is_sent(alarms: Alarms) -> None:
    alarms.evaluate(passed=True)
    alarms.run(daily)
    assert alarms.look() == []
    assert alarms.webhook.requests == 0
    assert alarms.skipped == "All is well."


def test_a_check_that_fails_is_told_with_what_is_wrong_and_where(alarms: Alarms) -> None:
    alarms.evaluate(passed=False)
    assert alarms.look() == ["The check lag on thing fails"]
    [alert] = alarms.webhook.messages[0]["alerts"]
    assert alert["detail"] == "it is late"
    assert alert["url"] == "https://dagster.test/assets/thing?view=checks&checkDetail=lag"
    alarms.evaluate(passed=False)
    assert alarms.look(hours=1) == []
    assert alarms.look(hours=24)[0].startswith("The check lag on thing still fails, since")


def test_a_check_that_is_well_again_is_told_once_it_stayed_so(alarms: Alarms) -> None:
    alarms.evaluate(passed=False)
    alarms.look()
    alarms.evaluate(passed=True)
    assert alarms.look(minutes=1) == []
    [told] = alarms.look(minutes=5)
    # A minute, and what the machine took in between.
    assert told.startswith("The check lag on thing is well again, after 6")


def test_a_check_that_is_about_to_be_evaluated_stays_as_it_was(alarms: Alarms) -> None:
    alarms.evaluate(passed=False)
    alarms.look()
    run = alarms.instance.create_run_for_job(daily)
    alarms.instance.report_dagster_event(
        dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
            job_name="daily",
            event_specific_data=AssetCheckEvaluationPlanned(asset_key=thing.key, check_name="lag"),
        ),
        run_id=run.run_id,
    )
    alarms.look(minutes=1)
    assert alarms.look(minutes=10) == []


def test_a_check_that_warns_is_told_as_a_warning_unless_only_errors_are_wanted(
    alarms: Alarms,
) -> None:
    alarms.evaluate(passed=False, warns=True)
    quiet = Alarms(
        alarms.instance,
        alarms.webhook,
        alarms.settings.model_copy(update={"alert_severity": "error"}),
    )
    assert quiet.look() == []
    assert alarms.look() == ["The check lag on thing warns"]
    alarms.evaluate(passed=False)
    assert quiet.look() == ["The check lag on thing fails"]


def test_a_failed_run_is_told_with_the_words_for_people_and_a_link_to_it(alarms: Alarms) -> None:
    run_id = alarms.run(daily, "fail")
    assert alarms.look() == ["The job daily fails"]
    [alert] = alarms.webhook.messages[0]["alerts"]
    assert alert["detail"] == "work: the disk is full; free some space"
    assert alert["url"] == f"https://dagster.test/runs/{run_id}"


def test_a_run_that_crashed_is_told_with_the_first_cause_without_secrets(alarms: Alarms) -> None:
    alarms.run(daily, "crash")
    alarms.look()
    [alert] = alarms.webhook.messages[0]["alerts"]
    assert alert["detail"] == "work: ValueError: not <b>good</b>, @everyone (secret)"


def test_a_run_whose_process_died_is_told_too(alarms: Alarms) -> None:
    run = alarms.instance.create_run_for_job(daily)
    alarms.instance.report_run_failed(run, "The process of the run is gone.")
    alarms.now = utc_now()
    assert alarms.look() == ["The job daily fails"]
    assert "process of the run is gone" in alarms.webhook.messages[0]["alerts"][0]["detail"]


def test_a_storm_of_failing_runs_is_one_message_with_a_count(alarms: Alarms) -> None:
    for _ in range(5):
        alarms.fail(hourly, hour="2026-11-23-19:00")
    assert alarms.look() == ["The job hourly fails (5 times)"]
    for _ in range(3):
        alarms.fail(hourly, hour="2026-11-23-19:00")
        assert alarms.look(seconds=15) == []
    [still] = alarms.look(hours=24)
    assert still.startswith("The job hourly still fails, since")
    assert still.endswith("(8 times)")


def test_an_hour_that_failed_is_not_made_good_by_another_hour(alarms: Alarms) -> None:
    alarms.fail(hourly, hour="2026-11-23-18:00")
    alarms.look()
    alarms.run(hourly, hour="2026-11-23-19:00")
    alarms.look(minutes=1)
    assert alarms.look(minutes=10) == []
    alarms.run(hourly, hour="2026-11-23-18:00")
    alarms.look(minutes=1)
    assert alarms.look(minutes=5)[0].startswith("The job hourly is well again, after")


def test_a_run_that_failed_and_was_repeated_between_two_looks_is_told(alarms: Alarms) -> None:
    alarms.look()
    alarms.fail(daily)
    alarms.run(daily)
    alarms.look()
    alarms.look(minutes=2)
    assert "The job daily fails" in alarms.webhook.texts()
    assert alarms.look(minutes=6)[0].startswith("The job daily is well again")
    assert alarms.look(hours=30) == []


def test_a_failed_run_that_a_person_deleted_is_made_good(alarms: Alarms) -> None:
    run_id = alarms.fail(daily)
    alarms.look()
    alarms.instance.delete_run(run_id)
    alarms.look(minutes=1)
    assert alarms.look(minutes=5)[0].startswith("The job daily is well again")


def test_a_retry_that_is_noted_on_an_old_failure_is_no_new_failure(alarms: Alarms) -> None:
    run_id = alarms.fail(daily)
    alarms.run(daily)
    alarms.look()
    alarms.look(minutes=1)
    alarms.look(minutes=6)
    before = len(alarms.webhook.messages)
    alarms.now = utc_now() + timedelta(minutes=7)
    alarms.instance.add_run_tags(run_id, {"dagster/did_retry": "true"})
    assert alarms.look(minutes=1) == []
    assert len(alarms.webhook.messages) == before


def test_a_sensor_is_told_once_several_ticks_in_a_row_failed(alarms: Alarms) -> None:
    stamp = alarms.now.timestamp()
    add_ticks(alarms.instance, "busy_sensor", [(stamp - 9, "the disk is full")] * 2)
    assert alarms.look() == []
    add_ticks(alarms.instance, "busy_sensor", [(stamp - 5, "the disk is full")])
    assert alarms.look() == ["The sensor busy_sensor fails"]
    assert alarms.webhook.messages[0]["alerts"][0]["detail"] == "the disk is full"
    add_ticks(alarms.instance, "busy_sensor", [(stamp, None)])
    alarms.look(minutes=1)
    assert alarms.look(minutes=5)[0].startswith("The sensor busy_sensor is well again")


def test_a_schedule_is_told_at_the_first_tick_that_failed(alarms: Alarms) -> None:
    """The next one may be a day away."""
    stamp = alarms.now.timestamp()
    add_ticks(alarms.instance, "every_morning", [(stamp - 9, "no such job")], of_schedule=True)
    assert alarms.look() == ["The schedule every_morning fails"]
    assert alarms.webhook.messages[0]["alerts"][0]["detail"] == "no such job"
    add_ticks(alarms.instance, "every_morning", [(stamp, None)], of_schedule=True)
    alarms.look(minutes=1)
    assert alarms.look(minutes=5)[0].startswith("The schedule every_morning is well again")


def test_sensors_of_other_code_are_left_alone(alarms: Alarms) -> None:
    stamp = alarms.now.timestamp()
    add_ticks(alarms.instance, "of_an_earlier_release", [(stamp, "gone")] * FAILED_TICKS)
    assert alarms.look() == []


def test_a_webhook_that_is_down_fails_no_tick_and_gets_the_message_later(alarms: Alarms) -> None:
    alarms.webhook.status = 500
    alarms.evaluate(passed=False)
    assert alarms.look() == []
    assert alarms.skipped == "To be told later: 1; the webhook answered 500."
    assert alarms.webhook.requests == 1
    alarms.once()
    assert alarms.webhook.requests == 1, "it is left alone for half a minute"
    alarms.webhook.status = 200
    assert alarms.look(seconds=30) == ["The check lag on thing fails"]


def test_many_at_once_are_told_in_a_few_messages(alarms: Alarms) -> None:
    alarms.evaluate(passed=False)
    alarms.fail(daily)
    alarms.fail(hourly, hour="2026-11-23-19:00")
    assert len(alarms.look()) == 3
    assert len(alarms.webhook.messages) == 1


def test_a_cursor_that_cannot_be_read_begins_anew(alarms: Alarms) -> None:
    alarms.evaluate(passed=False)
    alarms.cursor = "of another release"
    assert alarms.look() == ["The check lag on thing fails"]


def test_the_cursor_of_a_long_storm_stays_small(alarms: Alarms) -> None:
    for hour in range(6):
        alarms.fail(hourly, hour=f"2026-11-23-{hour:02}:00")
        alarms.fail(hourly, hour=f"2026-11-23-{hour:02}:00")
    alarms.look()
    assert alarms.cursor is not None
    assert len(alarms.cursor) < 6 * 150 + 600, "150 bytes an hour that fails"


def test_every_check_of_the_pipeline_is_watched() -> None:
    loaded = definitions()
    assert isinstance(loaded, dg.Definitions)
    names = {key.name for key in check_keys_of(loaded.get_repository_def())}
    assert {
        "ingest_lag",
        "ingest_ticks",
        "stream_gaps",
        "ingest_anomalies",
        "coverage",
        "golden_hashes",
        "rules_lint",
    } <= names


def test_no_secret_is_in_the_cursor_or_in_what_the_tick_says(alarms: Alarms) -> None:
    alarms.webhook.status = 404
    alarms.evaluate(passed=False)
    alarms.look()
    for text in (alarms.cursor or "", alarms.skipped):
        assert "secret" not in text
        assert str(alarms.webhook.port) not in text


def test_the_time_of_a_failure_is_in_utc(alarms: Alarms) -> None:
    alarms.evaluate(passed=False)
    alarms.look()
    since = datetime.fromisoformat(alarms.webhook.messages[0]["alerts"][0]["since"])
    assert since.tzinfo == UTC
    assert abs((since - alarms.now).total_seconds()) < 60
