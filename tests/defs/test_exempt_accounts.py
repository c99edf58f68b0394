"""Lists of exempt accounts, as Dagster reads them and tells of them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from phash_dagster.defs.exempt_accounts import exempt_accounts, exempt_lists_sensor
from phash_dagster.moderation.exemptions import exempt_accounts as exempt
from phash_dagster.moderation.exemptions import never_read
from phash_dagster.sandbox import Account, Sandbox
from phash_dagster.settings import Settings, settings_from
from phash_dagster.warehouse import Warehouse

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LIST, ITEM = "app.bsky.graph.list", "app.bsky.graph.listitem"
FRIEND = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"


class Network:
    """A sandbox with a list, and a pipeline that trusts it."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.owner: Account = sandbox.world.create_account("owner.test")
        self.list_uri = self.publish(LIST, name="friends")
        self.item = self.publish(ITEM, list=self.list_uri, subject=FRIEND)
        self.settings: Settings = settings_from(
            {
                **sandbox.settings_environment(),
                "DATA_DIR": str(folder),
                "EXEMPT_LISTS": self.list_uri,
                "RETRY_ATTEMPTS": "1",
            }
        )
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.cursor: str | None = None

    def publish(self, collection: str, **fields: str) -> str:
        record = {"$type": collection, **fields}
        return self.sandbox.world.publish_record(self.owner, record, collection=collection).uri

    def read(self) -> dg.AssetCheckEvaluation:
        result = dg.materialize(
            [exempt_accounts],
            resources={
                "settings": self.settings,
                "warehouse": self.warehouse,
                "clock": lambda: NOW,
            },
        )
        [evaluation] = result.get_asset_check_evaluations()
        return evaluation

    def tick(self, now: datetime = NOW) -> int:
        context = dg.build_sensor_context(cursor=self.cursor)
        result = exempt_lists_sensor(
            context, settings=self.settings, warehouse=self.warehouse, clock=lambda: now
        )
        if isinstance(result, dg.SkipReason):
            return 0
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor or self.cursor
        return len(result.run_requests or ())

    def exempt(self) -> set[str]:
        with self.warehouse.read() as connection:
            return set(exempt(connection, self.settings, {FRIEND}))


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Sandbox() as sandbox:
        yield Network(sandbox, tmp_path)


def test_the_members_of_a_list_are_exempt_once_it_was_read(network: Network) -> None:
    assert network.exempt() == set()
    assert network.read().passed
    assert network.exempt() == {FRIEND}


def test_an_unreachable_list_keeps_its_members_and_turns_the_check_red(network: Network) -> None:
    network.read()
    network.sandbox.world.fail_next("pds", count=9)
    evaluation = network.read()
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert f"{network.list_uri}: 127.0.0.1 answered 503" in str(evaluation.description)
    assert network.exempt() == {FRIEND}


def test_a_list_that_suddenly_is_empty_keeps_its_members_until_it_is_taken_out(
    network: Network,
) -> None:
    network.read()
    network.sandbox.world.delete_post(network.item)
    evaluation = network.read()
    assert not evaluation.passed
    assert "is empty now" in str(evaluation.description)
    assert network.exempt() == {FRIEND}
    network.settings = network.settings.model_copy(update={"exempt_lists": ()})
    assert network.read().passed
    assert network.exempt() == set()


def test_a_member_that_was_taken_off_is_no_longer_exempt(network: Network) -> None:
    network.publish(ITEM, list=network.list_uri, subject="did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    network.read()
    network.sandbox.world.delete_post(network.item)
    assert network.read().passed
    assert network.exempt() == set()


def test_a_list_that_does_not_exist_is_not_taken_for_an_empty_one(network: Network) -> None:
    missing = f"at://{network.owner.did}/{LIST}/3kmissing"
    network.settings = network.settings.model_copy(update={"exempt_lists": (missing,)})
    evaluation = network.read()
    assert not evaluation.passed
    assert "there is no such list" in str(evaluation.description)
    assert f"Nothing is sent until {missing} was read once." in str(evaluation.description)
    with network.warehouse.read() as connection:
        assert never_read(connection, network.settings) == (missing,)


def test_the_sensor_asks_at_once_then_every_hour(network: Network) -> None:
    minutes = []
    for minute in range(125):
        if network.tick(NOW + timedelta(minutes=minute)):
            minutes.append(minute)
            network.read()
    assert minutes == [0, 60, 120]


def test_the_sensor_asks_again_soon_while_a_list_cannot_be_read(network: Network) -> None:
    minutes = [minute for minute in range(25) if network.tick(NOW + timedelta(minutes=minute))]
    assert minutes == [0, 10, 20]


def test_the_sensor_asks_at_once_when_the_lists_change(network: Network) -> None:
    network.tick()
    network.read()
    assert network.tick(NOW + timedelta(minutes=1)) == 0
    network.settings = network.settings.model_copy(update={"exempt_lists": ()})
    assert network.tick(NOW + timedelta(minutes=2)) == 1
    assert json.loads(network.cursor or "")["lists"] == []


def test_without_lists_the_sensor_asks_for_nothing(network: Network) -> None:
    network.settings = network.settings.model_copy(update={"exempt_lists": ()})
    assert [network.tick(NOW + timedelta(hours=hours)) for hours in range(3)] == [0, 0, 0]
