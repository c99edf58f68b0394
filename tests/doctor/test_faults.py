"""Each fault, put into a network and a machine that are well, and what is said of it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from phash_dagster.clock import utc_now
from phash_dagster.doctor import Finding, Status
from phash_dagster.doctor.machine import look_at_algorithms
from phash_dagster.doctor.model import Patient
from phash_dagster.hashing import pdq
from phash_dagster.images.golden import GoldenReport, MovedHash
from phash_dagster.ingest import IngestRecords
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.rules.fields import hash_bits
from phash_dagster.sandbox import Failure
from phash_dagster.settings import settings_from
from phash_dagster.stack import exclusive
from phash_dagster.warehouse import Warehouse
from tests.doctor.conftest import RULE, WELL, Practice, declare_labels
from tests.ingest.records import record
from tests.warehouse.held import held_by_another_process

pytestmark = pytest.mark.slow


def test_when_all_is_well_nothing_is_to_be_done(practice: Practice) -> None:
    findings = practice.findings()
    assert [one for one in findings if one.status not in WELL] == []
    assert {one.about: one.status for one in findings}["role"] == Status.OK
    assert all(not one.advice for one in findings)


# Settings


def test_live_without_a_password_is_a_problem_since_nothing_is_sent(practice: Practice) -> None:
    practice.set(AUTOMOD_PASSWORD="")
    found = practice.about("settings")
    assert found.status == Status.PROBLEM
    assert "nothing is sent: AUTOMOD_PASSWORD is not set" in found.found


def test_shadow_with_half_of_the_credentials_is_a_warning(practice: Practice) -> None:
    practice.set(MODERATION_MODE="shadow", LABELER_DID="")
    assert practice.about("settings").status == Status.WARNING


def test_shadow_without_credentials_is_fine_and_said(practice: Practice) -> None:
    practice.set(
        MODERATION_MODE="shadow",
        AUTOMOD_HANDLE="",
        AUTOMOD_PASSWORD="",
        LABELER_DID="",
        OZONE_PDS="",
    )
    before = practice.sandbox.world.traffic.requests("ozone").total()
    account = practice.about("account")
    assert account.status == Status.SKIPPED
    assert account.found.startswith("nothing is sent without AUTOMOD_HANDLE, AUTOMOD_PASSWORD")
    assert practice.about("settings").status == Status.OK
    assert practice.sandbox.world.traffic.requests("ozone").total() == before


# Rules


def test_no_folder_of_rules_is_a_warning(practice: Practice) -> None:
    practice.set(RULES_DIR=str(practice.folder / "nowhere"))
    assert "nothing can match" in practice.about("rules").found


def test_no_rules_are_a_warning(practice: Practice) -> None:
    practice.write_rules()
    assert practice.about("rules").status == Status.WARNING


def test_a_rule_file_that_cannot_be_used_is_a_problem_that_names_it(practice: Practice) -> None:
    practice.write_rules({**RULE, "phashes": ["xyz"]})
    found = practice.about("rules")
    assert found.status == Status.PROBLEM
    assert "rules.json" in found.found


def test_dangerous_hashes_are_a_warning(practice: Practice) -> None:
    practice.write_rules({**RULE, "phashes": ["ffffffffffffffff"]})
    found = practice.about("rules")
    assert (found.status, "rules lint" in found.advice) == (Status.WARNING, True)


# Hash algorithms


@pytest.fixture
def without_pdqhash(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pdq, "find_spec", lambda _: None)
    hash_bits.cache_clear()
    yield
    hash_bits.cache_clear()


def algorithms(practice: Practice) -> Finding:
    [found] = look_at_algorithms(Patient(settings_from(practice.variables), practice.around))
    return found


def test_algorithms_that_can_be_computed_are_well(practice: Practice) -> None:
    practice.set(HASH_ALGORITHMS="average,perceptual")
    found = practice.about("algorithms")
    assert (found.status, found.found) == (Status.OK, "average, perceptual can be computed")


@pytest.mark.usefixtures("without_pdqhash")
def test_settings_that_want_pdq_without_its_package_are_a_problem(practice: Practice) -> None:
    practice.set(HASH_ALGORITHMS="average,pdq")
    found = practice.about("algorithms")
    assert found.status == Status.PROBLEM
    assert "HASH_ALGORITHMS wants pdq: the hash algorithm pdq needs the package pdqhash" in (
        found.found
    )
    assert "no image is hashed" in found.advice


@pytest.mark.usefixtures("without_pdqhash")
def test_a_rule_file_that_wants_pdq_without_its_package_is_a_problem_of_its_own(
    practice: Practice,
) -> None:
    practice.write_rules({**RULE, "phashes": ["0" * 63 + "1"], "algorithm": "pdq"})
    findings = {one.about: one for one in practice.findings()}
    assert findings["rules"].status == findings["algorithms"].status == Status.PROBLEM
    assert findings["algorithms"].found.startswith("rules.json wants pdq: ")
    assert "the last good rules stay in force" in findings["algorithms"].advice


def test_an_algorithm_that_nobody_knows_is_a_problem(practice: Practice) -> None:
    practice.set(HASH_ALGORITHMS="phash")
    found = algorithms(practice)
    assert found.status == Status.PROBLEM
    assert "no hash algorithm is named 'phash'" in found.found


@pytest.mark.parametrize("text", ["{", "{}", '["x", {"algorithm": [1]}]', "\udce4", "[" * 9999])
def test_rule_files_that_cannot_be_read_want_no_algorithm(practice: Practice, text: str) -> None:
    path = practice.folder / "rules" / "rules.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert algorithms(practice).found == "average can be computed"


# The machine


def test_a_library_that_moved_hashes_is_a_problem(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = MovedHash("jpeg.jpg", "average", 64, "0" * 16, "0" * 15 + "1")
    report = GoldenReport(135, (moved,), (), {"pillow": "13.0.0"}, {"pillow": "99.0.0"})
    monkeypatch.setattr("phash_dagster.doctor.machine.check_golden", lambda: report)
    found = practice.about("hashes")
    assert found.status == Status.PROBLEM
    assert "pillow 13.0.0 -> 99.0.0" in found.found


@pytest.mark.parametrize(
    ("gigabytes", "status"), [(0.5, Status.PROBLEM), (3, Status.WARNING), (50, Status.OK)]
)
def test_a_disk_that_gets_full(practice: Practice, gigabytes: float, status: Status) -> None:
    practice.surround(free_bytes=lambda _: int(gigabytes * 1e9))
    assert practice.about("disk").status == status


@pytest.mark.parametrize(
    ("skew", "status"),
    [
        (timedelta(seconds=2), Status.OK),
        (timedelta(seconds=20), Status.WARNING),
        (timedelta(minutes=-10), Status.PROBLEM),
    ],
)
def test_a_clock_that_goes_wrong(practice: Practice, skew: timedelta, status: Status) -> None:
    practice.surround(clock=lambda: utc_now() + skew)
    [found] = [one for one in practice.findings() if one.about == "clock"]
    assert found.status == status
    if status != Status.OK:
        assert ("ahead" if skew > timedelta(0) else "behind") in found.found


# What is kept


def test_a_data_folder_that_is_a_file_is_a_problem(practice: Practice) -> None:
    practice.data_dir.write_text("")
    assert practice.about("storage").status == Status.PROBLEM


def test_a_data_folder_that_cannot_be_written_is_a_problem(practice: Practice) -> None:
    practice.set(DATA_DIR="/proc/phash-dagster")
    found = practice.about("storage")
    assert found.status == Status.PROBLEM
    assert "/proc cannot be written" in found.found


@pytest.fixture
def warehouse(practice: Practice) -> Warehouse:
    warehouse = Warehouse(practice.data_dir / "warehouse.duckdb")
    with warehouse.write():
        pass
    return warehouse


def test_a_warehouse_of_this_release_is_well(practice: Practice, warehouse: Warehouse) -> None:
    assert practice.about("warehouse").status == Status.OK


def test_a_warehouse_of_an_earlier_release_is_a_warning(
    practice: Practice, warehouse: Warehouse
) -> None:
    with warehouse.write() as connection:
        connection.execute(
            "DELETE FROM schema_migrations WHERE name = (SELECT max(name) FROM schema_migrations)"
        )
    found = practice.about("warehouse")
    assert (found.status, "backup" in found.advice) == (Status.WARNING, True)


def test_a_warehouse_of_a_later_release_is_a_problem(
    practice: Practice, warehouse: Warehouse
) -> None:
    with warehouse.write() as connection:
        connection.execute("INSERT INTO schema_migrations (name) VALUES ('9999_later')")
    found = practice.about("warehouse")
    assert found.status == Status.PROBLEM
    assert "9999_later" in found.found


def test_a_warehouse_that_is_none_is_a_problem(practice: Practice, warehouse: Warehouse) -> None:
    warehouse.path.write_bytes(b"not a database" * 1000)
    assert practice.about("warehouse").status == Status.PROBLEM


def test_a_warehouse_that_somebody_has_open_is_a_problem(
    practice: Practice, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phash_dagster.doctor.storage.WAIT_SECONDS", 0.2)
    with held_by_another_process(warehouse.path):
        found = practice.about("warehouse")
    assert found.status == Status.PROBLEM
    assert "Close programs" in found.advice


def test_a_ledger_of_this_release_is_well(practice: Practice) -> None:
    settings = settings_from(practice.variables)
    Ledger(settings.effective_ledger_url).close()
    assert practice.about("ledger").status == Status.OK


def test_a_ledger_of_an_earlier_release_is_a_warning(practice: Practice) -> None:
    import sqlite3

    practice.data_dir.mkdir()
    ledger = sqlite3.connect(practice.data_dir / "ledger.sqlite")
    ledger.execute("CREATE TABLE moderation_actions (action_id INTEGER PRIMARY KEY)")
    ledger.close()
    found = practice.about("ledger")
    assert found.status == Status.WARNING
    assert "moderation_actions.external_id" in found.found


def test_a_damaged_ledger_is_a_problem(practice: Practice) -> None:
    practice.data_dir.mkdir()
    (practice.data_dir / "ledger.sqlite").write_bytes(b"not a database" * 1000)
    assert practice.about("ledger").status == Status.PROBLEM


def test_a_ledger_server_that_is_down_is_a_problem_and_its_password_stays_secret(
    practice: Practice,
) -> None:
    practice.set(LEDGER_URL="postgresql+psycopg2://me:secretword@127.0.0.1:1/ledger")
    found = practice.about("ledger")
    assert found.status == Status.PROBLEM
    assert "secretword" not in f"{found}"


# The pipeline


def test_a_pipeline_that_runs_and_reads_is_well(practice: Practice) -> None:
    settings = settings_from(practice.variables)
    IngestRecords.under(practice.data_dir).write(record(ended=utc_now()))
    with exclusive(settings):
        found = practice.about("pipeline")
    assert found.status == Status.OK
    assert "running, process" in found.found


def test_a_pipeline_that_runs_and_reads_nothing_is_a_warning(practice: Practice) -> None:
    with exclusive(settings_from(practice.variables)):
        found = practice.about("pipeline")
    assert found.status == Status.WARNING
    assert "nothing arrives" in found.found


def test_a_pipeline_that_stopped_is_a_warning(practice: Practice) -> None:
    ended = utc_now() - timedelta(hours=3)
    IngestRecords.under(practice.data_dir).write(record(ended=ended))
    found = practice.about("pipeline")
    assert found.status == Status.WARNING
    assert "not running here; the last batch is 3 h old" in found.found
    assert "docs/production.md" in found.advice
    assert "dev" not in found.advice, "a machine with services has another way"


# The network


def test_a_name_that_does_not_resolve_is_a_problem_that_names_the_variable(
    practice: Practice,
) -> None:
    practice.set(PDS_ENDPOINT="https://nowhere.invalid")
    findings = {one.about: one for one in practice.findings()}
    assert findings["names"].status == Status.PROBLEM
    assert "nowhere.invalid (PDS_ENDPOINT)" in findings["names"].found
    assert findings["pds"].status == Status.PROBLEM


def test_without_any_name_it_is_the_network(practice: Practice) -> None:
    def fail(host: str, port: int) -> list[str]:
        raise OSError(-3, "Temporary failure in name resolution")

    practice.surround(addresses=fail)
    assert practice.about("names").found.startswith("no name resolves")


def down(port: int = 1) -> str:
    return f"127.0.0.1:{port}"


def stream(practice: Practice, number: int = 0) -> str:
    url = (practice.sandbox.jetstream_url, practice.sandbox.jetstream_fallback_url)[number]
    return f"jetstream {url.split('/')[2]}"


def test_a_jetstream_host_that_is_down_is_a_problem(practice: Practice) -> None:
    practice.set(JETSTREAM_URL=f"ws://{down()}/subscribe")
    found = practice.about(f"jetstream {down()}")
    assert found.status == Status.PROBLEM
    assert "refused" in found.found.lower() or "connect" in found.found.lower()


def test_a_spare_jetstream_host_that_is_down_is_a_warning(practice: Practice) -> None:
    practice.set(JETSTREAM_FALLBACK_URLS=f"ws://{down()}/subscribe")
    assert practice.about(f"jetstream {down()}").status == Status.WARNING


def test_a_password_in_an_address_is_not_shown(practice: Practice) -> None:
    practice.set(JETSTREAM_FALLBACK_URLS=f"ws://me:secretword@{down()}/subscribe")
    assert "secretword" not in str(practice.findings())


def test_a_jetstream_host_that_sends_nothing_is_a_warning(practice: Practice) -> None:
    practice.sandbox.jetstream.stall()
    found = practice.about(stream(practice))
    assert found.status == Status.WARNING
    assert "nothing came" in found.found


def test_a_jetstream_host_that_is_behind_is_a_warning(practice: Practice) -> None:
    practice.set(MAX_LAG_SECONDS="0.001")
    practice.set(JETSTREAM_FALLBACK_URLS="")
    found = practice.about(stream(practice))
    assert found.status == Status.WARNING
    assert "behind" in found.advice


def test_events_from_the_future_are_those_of_a_clock_that_is_behind(practice: Practice) -> None:
    practice.surround(clock=lambda: utc_now() - timedelta(minutes=10))
    [found] = [one for one in practice.findings() if one.about == stream(practice)]
    assert found.status == Status.WARNING
    assert "later than this machine's clock" in found.found


def test_an_address_without_a_jetstream_is_a_problem(practice: Practice) -> None:
    practice.set(JETSTREAM_URL=practice.sandbox.cdn_url.replace("http", "ws") + "/x")
    host = practice.sandbox.cdn_url.split("/")[2]
    assert practice.about(f"jetstream {host}").status == Status.PROBLEM


@pytest.mark.parametrize(
    ("variable", "about"),
    [("CDN_ENDPOINT", "cdn"), ("PDS_ENDPOINT", "pds")],
)
def test_a_host_that_is_down_is_a_problem(practice: Practice, variable: str, about: str) -> None:
    practice.set(**{variable: f"http://{down()}"})
    found = practice.about(about)
    assert found.status == Status.PROBLEM
    assert variable in found.advice


@pytest.mark.parametrize("about", ["cdn", "plc"])
@pytest.mark.parametrize("status", [503, 429])
def test_a_host_with_a_fault_of_its_own_is_a_warning(
    practice: Practice, about: str, status: int
) -> None:
    failure = Failure(status=status, matching="" if about == "cdn" else "_health")
    practice.sandbox.world.fail_next(about, 1, failure)  # type: ignore[arg-type]
    assert practice.about(about).status == Status.WARNING


def test_a_plc_directory_that_is_down_is_a_problem_for_the_labeler_too(practice: Practice) -> None:
    practice.set(PLC_ENDPOINT=f"http://{down()}")
    findings = {one.about: one.status for one in practice.findings()}
    assert findings["plc"] == findings["labeler"] == Status.PROBLEM
    assert findings["role"] == Status.OK


def test_a_mirror_that_is_down_is_a_warning(practice: Practice) -> None:
    practice.set(PLC_FALLBACK_ENDPOINTS=f"http://{down()}")
    assert practice.about("plc mirror").status == Status.WARNING


# The account


def test_a_wrong_password_is_a_problem_that_names_the_variables(practice: Practice) -> None:
    practice.set(AUTOMOD_PASSWORD="aaaa-bbbb-cccc-dddd")
    found = practice.about("login")
    assert found.status == Status.PROBLEM
    assert "Check AUTOMOD_HANDLE and AUTOMOD_PASSWORD" in found.advice
    assert "aaaa-bbbb" not in str(found)


def test_a_main_password_is_a_warning(practice: Practice) -> None:
    account = practice.sandbox.world.create_account("second.test", password="my main password")
    practice.sandbox.world.moderation.set_role(account.did, "moderator")
    practice.set(AUTOMOD_HANDLE=account.handle, AUTOMOD_PASSWORD=account.password)
    found = practice.about("login")
    assert found.status == Status.WARNING
    assert "app password" in found.found


def test_a_pds_that_is_down_is_a_problem(practice: Practice) -> None:
    practice.set(OZONE_PDS=f"http://{down()}")
    findings = {one.about: one for one in practice.findings()}
    assert findings["login"].status == Status.PROBLEM
    assert "OZONE_PDS" in findings["login"].advice
    assert findings["role"].status == Status.SKIPPED


def test_an_address_without_a_pds_is_a_problem(practice: Practice) -> None:
    practice.set(OZONE_PDS=practice.sandbox.cdn_url)
    found = {one.about: one for one in practice.findings()}["login"]
    assert found.status == Status.PROBLEM
    assert "there is no PDS at this address" in found.found
    assert found.advice == "Check OZONE_PDS."


def test_an_account_that_is_not_in_the_team_is_a_problem(practice: Practice) -> None:
    world = practice.sandbox.world
    world.moderation.set_role(world.automod.did, None)
    found = practice.about("role")
    assert found.status == Status.PROBLEM
    assert "is a moderator of the labeler LABELER_DID" in found.advice


def test_an_account_that_may_only_sort_reports_is_a_problem(practice: Practice) -> None:
    world = practice.sandbox.world
    world.moderation.set_role(world.automod.did, "triage")
    found = practice.about("role")
    assert found.status == Status.PROBLEM
    assert "is triage at" in found.found


def test_an_ozone_that_is_down_is_a_problem(practice: Practice) -> None:
    practice.sandbox.world.other_labeler_endpoint = f"http://{down()}"
    found = practice.about("role")
    assert found.status == Status.PROBLEM
    assert "502" in found.found


def test_a_did_that_is_no_labeler_is_a_problem(practice: Practice) -> None:
    practice.set(LABELER_DID=practice.sandbox.world.automod.did)
    found = {one.about: one for one in practice.findings()}["labeler"]
    assert found.status == Status.PROBLEM
    assert "is no labeler" in found.found


def test_a_did_that_does_not_exist_is_a_problem(practice: Practice) -> None:
    practice.set(LABELER_DID="did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    found = {one.about: one for one in practice.findings()}["labeler"]
    assert found.status == Status.PROBLEM
    assert "status 404" in found.found


def test_labels_that_are_not_declared_are_a_warning(practice: Practice) -> None:
    declare_labels(practice.sandbox, "other", "spam")
    found = practice.about("labels")
    assert found.status == Status.WARNING
    assert found.found == "rules give labels that are not declared: troll"


def test_labels_that_every_client_knows_need_no_declaration(practice: Practice) -> None:
    declare_labels(practice.sandbox)
    practice.write_rules({**RULE, "label": "porn"})
    assert practice.about("labels").status == Status.OK


def test_a_labeler_without_declarations_is_a_warning(practice: Practice) -> None:
    did = practice.sandbox.world.labeler_did
    practice.sandbox.world.repositories.remove_record(f"at://{did}/app.bsky.labeler.service/self")
    assert practice.about("labels").status == Status.WARNING


# Alerts


def test_a_webhook_whose_host_does_not_exist_is_a_problem_and_stays_secret(
    practice: Practice,
) -> None:
    practice.set(ALERT_WEBHOOK_URL="https://secretword.invalid/secretword")
    found = practice.about("alerts")
    assert found.status == Status.PROBLEM
    assert "secretword" not in str(found)


def test_a_webhook_is_not_sent_anything(practice: Practice) -> None:
    # Nothing listens there, and nobody notices.
    practice.set(ALERT_WEBHOOK_URL=f"http://{down()}/hook")
    assert practice.about("alerts").status == Status.OK
