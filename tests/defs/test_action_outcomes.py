"""What people did about actions, read back as Dagster does it: beside the hot job, not in it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from phash_dagster.clock import utc_now
from phash_dagster.definitions import definitions
from phash_dagster.defs.action_outcomes import action_outcomes, outcomes_schedule
from phash_dagster.moderation.emit import emit_planned
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.sandbox import Failure, Sandbox
from phash_dagster.sandbox.identifiers import plc_did, record_cid
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import Warehouse
from tests.moderation.builders import TTL, action_on_post

pytestmark = pytest.mark.slow

AUTHOR = plc_did("author")
DEFS = "tools.ozone.moderation.defs#"


class Network:
    """A sandbox's Ozone with a label that a pipeline put, and that pipeline."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.moderator = sandbox.world.create_account("moderator.test")
        sandbox.world.moderation.set_role(self.moderator.did, "moderator")
        variables = {
            **sandbox.settings_environment(),
            "MODERATION_MODE": "live",
            "DATA_DIR": str(folder),
            "RATE_LIMIT_MS": "0",
            "RETRY_ATTEMPTS": "1",
        }
        self.settings: Settings = settings_from(variables)
        self.warehouse = Warehouse(self.settings.warehouse_path)
        cid = record_cid({"n": 1})
        action = action_on_post(did=AUTHOR, planned_at=utc_now(), blob_cids=())
        self.action = replace(action, subject_cid=cid)
        with Ledger(self.settings.effective_ledger_url) as ledger:
            ledger.record([self.action], claim_ttl=TTL)
            assert emit_planned(ledger, self.settings).sent == 1

    def take_back(self, comment: str) -> None:
        """A moderator negates the label."""
        session = httpx.post(
            f"{self.sandbox.pds_url}/xrpc/com.atproto.server.createSession",
            json={"identifier": self.moderator.handle, "password": self.moderator.password},
            trust_env=False,
        ).json()
        body = {
            "event": {
                "$type": DEFS + "modEventLabel",
                "createLabelVals": [],
                "negateLabelVals": [self.action.value],
                "comment": comment,
            },
            "subject": {
                "$type": "com.atproto.repo.strongRef",
                "uri": self.action.subject_uri,
                "cid": self.action.subject_cid,
            },
            "createdBy": self.moderator.did,
        }
        httpx.post(
            f"{self.sandbox.pds_url}/xrpc/tools.ozone.moderation.emitEvent",
            json=body,
            headers={
                "authorization": f"Bearer {session['accessJwt']}",
                "atproto-proxy": f"{self.settings.labeler_did}#atproto_labeler",
            },
            trust_env=False,
        ).raise_for_status()

    def read(self, **changes: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [action_outcomes],
            resources={
                "settings": self.settings.model_copy(update=changes),
                "warehouse": self.warehouse,
                "clock": utc_now,
            },
            raise_on_error=False,
        )

    def outcomes(self) -> list[tuple[Any, ...]]:
        with self.warehouse.read() as connection:
            return connection.execute(
                "FROM action_outcomes SELECT outcome, by_kind, by_did, comment"
            ).fetchall()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Sandbox() as sandbox:
        yield Network(sandbox, tmp_path)


def figures(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = result.asset_materializations_for_node("action_outcomes")
    return {name: value.value for name, value in event.metadata.items()}


def test_a_label_that_a_moderator_took_back_is_read_back(network: Network) -> None:
    network.take_back("this is art")
    found = figures(network.read())
    assert (found["events"], found["new_outcomes"], found["caught_up"]) == (2, 1, True)
    assert network.outcomes() == [("label_negated", "people", network.moderator.did, "this is art")]
    assert figures(network.read())["new_outcomes"] == 0


def test_an_ozone_that_is_down_fails_no_run_and_warns_only_after_long(network: Network) -> None:
    network.take_back("later")
    network.sandbox.world.fail_next("ozone", 1, Failure(502))
    result = network.read()
    assert result.success
    assert "Ozone is unavailable" in figures(result)["stopped"]
    [check] = result.get_asset_check_evaluations()
    assert not check.passed  # it was never read to the end
    assert check.severity is dg.AssetCheckSeverity.WARN
    network.read()
    network.sandbox.world.fail_next("ozone", 1, Failure(502))
    [check] = network.read().get_asset_check_evaluations()
    assert check.passed
    assert len(network.outcomes()) == 1


def test_a_refused_login_fails_the_run_and_says_which_setting(network: Network) -> None:
    network.settings.session_path.unlink()
    result = network.read(automod_handle="nobody.test")
    assert not result.success
    [failure] = result.filter_events(lambda event: event.is_step_failure)
    assert "AUTOMOD_HANDLE" in str(failure.step_failure_data.error)


def test_without_credentials_nothing_is_asked(tmp_path: Path) -> None:
    settings = settings_from({"DATA_DIR": str(tmp_path)})
    context = dg.build_schedule_context(scheduled_execution_time=utc_now())
    skipped = outcomes_schedule(context, settings=settings)
    assert isinstance(skipped, dg.SkipReason)
    assert "AUTOMOD_HANDLE" in str(skipped.skip_message)


def test_with_credentials_a_run_is_asked_for(network: Network) -> None:
    context = dg.build_schedule_context(scheduled_execution_time=utc_now())
    assert isinstance(outcomes_schedule(context, settings=network.settings), dg.RunRequest)


def test_nothing_of_the_hot_job_waits_for_it() -> None:
    defs = definitions()
    assert isinstance(defs, dg.Definitions)
    hot = {node.name for node in defs.resolve_job_def("moderate_hour").graph.nodes}
    assert "action_outcomes" not in hot
    job = defs.resolve_job_def("read_action_outcomes")
    assert [node.pools for node in job.all_node_defs] == [set()]
    assert timedelta(seconds=int(job.tags["dagster/max_runtime"])) < timedelta(hours=1)
