"""The Definitions object: it loads, and explains itself to a newcomer."""

import re
from pathlib import Path

import dagster as dg
import pytest
import yaml

from phash_dagster.definitions import definitions
from phash_dagster.defs.tags import lane_of

ASSETS = {
    "image_posts",
    "image_hashes",
    "rules",
    "rule_matches",
    "exempt_accounts",
    "moderation_actions",
    "action_outcomes",
    "match_report",
    "weekly_report",
    "analytics_snapshot",
}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    loaded = definitions()
    assert isinstance(loaded, dg.Definitions)
    return loaded


def test_everything_loads(defs: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(defs)


def test_every_asset_explains_itself(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == ASSETS
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert len(node.description or "") > 60, f"{key} has no useful description"
        assert node.group_name != "default"
        assert node.owners
        assert node.kinds


def test_every_asset_says_whom_it_contacts(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    contacts = {key.to_user_string(): graph.get(key).tags for key in graph.get_all_asset_keys()}
    assert contacts.keys() == ASSETS
    reached = {name: tags["contacts"] for name, tags in contacts.items()}
    assert {name for name, whom in reached.items() if whom == "ozone"} == {
        "moderation_actions",
        "action_outcomes",
    }
    assert {name: whom for name, whom in reached.items() if whom not in ("ozone", "nobody")} == {
        "image_posts": "jetstream",
        "image_hashes": "image-hosts",
        "exempt_accounts": "bluesky",
        "match_report": "webhook",
        "weekly_report": "webhook",
    }


def test_the_selections_of_the_docs_select_something(defs: dg.Definitions) -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| Selection | Shows |")
    selections = re.findall(r"^\| `(.+?)` \|", table.partition("\n\n")[0], flags=re.MULTILINE)
    assert len(selections) >= 5
    graph = defs.resolve_asset_graph()
    for selection in selections:
        assert dg.AssetSelection.from_string(selection).resolve(graph), selection


def test_data_flows_one_way(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert parents == {
        "image_posts": set(),
        "image_hashes": {"image_posts"},
        "rules": set(),
        "rule_matches": {"image_posts", "image_hashes", "rules"},
        "exempt_accounts": set(),
        "moderation_actions": {"rule_matches", "exempt_accounts"},
        "action_outcomes": {"moderation_actions"},
        "match_report": {"image_hashes", "rule_matches", "moderation_actions"},
        "weekly_report": {"image_hashes", "rule_matches", "moderation_actions"},
        "analytics_snapshot": {"image_hashes", "rule_matches", "moderation_actions"},
    }


def test_the_hot_job_hashes_matches_and_acts_in_that_order(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("moderate_hour")
    names = [node.name for node in job.graph.nodes_in_topological_order]
    assert names == ["image_hashes", "rule_matches", "moderation_actions"]


def test_what_people_launch_in_the_ui_runs_in_one_process_too(defs: dg.Definitions) -> None:
    job = defs.resolve_implicit_global_asset_job_def()
    assert job.executor_def is dg.in_process_executor


def test_both_ops_of_the_actions_share_the_pool_with_one_slot(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("moderate_hour")
    pools = {node.name: node.pools for node in job.all_node_defs}
    assert pools["plan_actions"] == pools["emit_ozone_events"] == {"ozone"}
    config = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    assert config["concurrency"]["pools"]["default_limit"] == 1


def test_sensors_and_schedules_run_without_being_switched_on(defs: dg.Definitions) -> None:
    assert {sensor.name for sensor in defs.sensors or []} == {
        "alert_sensor",
        "jetstream_sensor",
        "ingest_health_sensor",
        "action_health_sensor",
        "golden_sensor",
        "catch_up_sensor",
        "rules_sensor",
        "rematch_sensor",
        "exempt_lists_sensor",
    }
    for sensor in defs.sensors or []:
        assert isinstance(sensor, dg.SensorDefinition)
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    for schedule in defs.schedules or []:
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_no_rematch_runs_beside_a_compaction(defs: dg.Definitions) -> None:
    for name in ("compact_hours", "rematch_hours"):
        assert defs.resolve_job_def(name).tags["phash/lane"] == "backfill"
    config = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    limits = config["concurrency"]["runs"]["tag_concurrency_limits"]
    [lane] = [limit for limit in limits if limit["key"] == "phash/lane"]
    assert lane["limit"] == 1
    assert lane["value"] == {"applyLimitPerUniqueValue": True}


def test_the_current_hour_is_a_partition_from_its_first_minute(defs: dg.Definitions) -> None:
    from phash_dagster.clock import utc_now
    from phash_dagster.defs.partitions import HOURLY
    from phash_dagster.warehouse.image_posts import hour_key

    assert HOURLY.has_partition_key(hour_key(utc_now()))


def test_location_names_agree_so_that_cursors_are_found_again() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    [location] = workspace["load_from"]
    assert location["python_module"]["location_name"] == "phash_dagster"
    assert 'code_location_name = "phash_dagster"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("tags", "lane"),
    [
        ({"phash/lane": "live"}, "live"),
        ({"phash/lane": "backfill"}, "backfill"),
        ({"dagster/backfill": "x"}, "backfill"),
        ({}, "backfill"),
    ],
)
def test_only_the_sensors_runs_are_live(tags: dict[str, str], lane: str) -> None:
    assert lane_of(tags) == lane


def test_domain_packages_know_no_dagster() -> None:
    shell = {"defs", "sandbox", "definitions.py"}
    for path in (ROOT / "phash_dagster").rglob("*.py"):
        if path.relative_to(ROOT / "phash_dagster").parts[0] not in shell:
            lines = path.read_text(encoding="utf-8").splitlines()
            assert not [
                line for line in lines if line.startswith(("import dagster", "from dagster"))
            ]
