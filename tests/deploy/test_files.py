"""The files in deploy/ fit the project and keep what production needs."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from phash_dagster.settings import Settings, settings_from
from phash_dagster.stack import prepare_home, shipped_file
from tests.programs import needed

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
URL = "postgresql+psycopg2://phash:secret@localhost/phash"
VARIABLES = {name.upper() for name in Settings.model_fields}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_instance_on_postgresql_has_every_setting_of_the_shipped_one() -> None:
    shipped, production = read(shipped_file("dagster.yaml")), read(DEPLOY / "dagster.yaml")
    assert production == {
        **shipped,
        "storage": {"postgres": {"postgres_url": {"env": "DAGSTER_STORAGE_URL"}}},
    }
    assert production["telemetry"] == {"enabled": False}


def test_a_pipeline_with_its_storage_in_postgresql_gets_that_instance(tmp_path: Path) -> None:
    settings = settings_from({"DATA_DIR": str(tmp_path), "DAGSTER_STORAGE_URL": URL})
    environment = prepare_home(settings, {})
    assert read(Path(environment["DAGSTER_HOME"], "dagster.yaml")) == read(DEPLOY / "dagster.yaml")
    assert environment["DAGSTER_STORAGE_URL"] == URL
    assert "secret" not in Path(environment["DAGSTER_HOME"], "dagster.yaml").read_text()


def test_the_home_is_renewed_also_where_the_environment_names_it(tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: true}")
    prepare_home(settings_from({"DATA_DIR": str(tmp_path)}), {"DAGSTER_HOME": str(home)})
    assert read(home / "dagster.yaml")["telemetry"] == {"enabled": False}


def test_services_and_one_process_share_the_sensors_cursors() -> None:
    [alone] = read(shipped_file("workspace.yaml"))["load_from"]
    [services] = read(shipped_file("services.yaml"))["load_from"]
    assert alone["python_module"]["location_name"] == services["grpc_server"]["location_name"]


def test_the_command_for_systemd_runs_what_the_services_run() -> None:
    command = (DEPLOY / "bin" / "phash-dagster").read_text(encoding="utf-8")
    code = (DEPLOY / "systemd" / "phash-dagster-code.service").read_text(encoding="utf-8")
    program = "/opt/phash-dagster/.venv/bin/phash-dagster"
    assert f"{program} " in command
    assert f"ExecStart={program} " in code
    for name in ("User", "Group", "UMask", "EnvironmentFile"):
        values = [line for line in code.splitlines() if line.startswith(f"{name}=")]
        assert values
        for line in values:
            assert f"--property={line}" in command


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = read(DEPLOY / "compose.yaml")["services"]
    return found


def test_only_web_server_and_metrics_are_published_and_only_on_the_loopback_address(
    services: dict[str, Any],
) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    # The login is there to be reached from outside, and only where it is asked for.
    assert services["login"]["profiles"] == ["login"]
    assert services["metrics"]["profiles"] == ["metrics"]
    assert published.keys() == {"web", "metrics", "login"}
    assert published["metrics"] == ["127.0.0.1:${METRICS_PORT:-9477}:9477"]
    assert published["web"] == ["127.0.0.1:${WEB_PORT:-3000}:3000"]


def test_only_the_code_server_gets_credentials_and_reaches_the_internet(
    services: dict[str, Any],
) -> None:
    assert [name for name, service in services.items() if "env_file" in service] == ["code"]
    assert [name for name, one in services.items() if "outside" in one["networks"]] == ["code"]
    assert read(DEPLOY / "compose.yaml")["networks"]["storage"] == {"internal": True}
    passwords = r"AUTOMOD|LEDGER"
    for name in ("daemon", "web", "login"):
        assert not re.search(passwords, str(services[name]["environment"]))
    assert "AUTOMOD" not in str(services["metrics"]["environment"])


def test_no_service_of_ours_may_write_outside_of_its_data_or_gain_rights(
    services: dict[str, Any],
) -> None:
    for name in ("code", "daemon", "web", "metrics"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
        assert services[name]["init"] is True
    for name in ("web", "metrics"):
        assert services[name]["volumes"] == ["data:/var/lib/phash-dagster:ro"]


def test_every_service_of_ours_is_watched_and_started_again(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["restart"] == "unless-stopped"
        # That of the code server is in the image, that of Caddy is Caddy's own matter.
        assert "healthcheck" in service or name in ("code", "login")


@pytest.mark.parametrize("example", [".env.example", "systemd/env.example"])
def test_the_example_environments_name_settings_that_there_are(example: str) -> None:
    text = (DEPLOY / example).read_text(encoding="utf-8")
    named = set(re.findall(r"^#?([A-Z_]+)=", text, flags=re.MULTILINE))
    of_compose = {"POSTGRES_PASSWORD", "WEB_PORT", "METRICS_PORT", "RULES", "SITE"}
    assert named <= VARIABLES | of_compose | {"DAGSTER_HOME"}
    assert of_compose <= named or example != ".env.example"


HARDENING = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallFilter=@system-service",
    "User=phash-dagster",
    "UMask=0027",
)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_are_hardened(unit: Path) -> None:
    lines = unit.read_text(encoding="utf-8").splitlines()
    assert [line for line in HARDENING if line not in lines] == []
    assert any(line.startswith("StateDirectory=") for line in lines)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_only_units_that_need_credentials_read_them(unit: Path) -> None:
    reads = "EnvironmentFile=-/etc/phash-dagster/code.env" in unit.read_text(encoding="utf-8")
    assert reads == (unit.stem in ("phash-dagster-code", "phash-dagster-backup"))


def test_long_running_units_are_started_again() -> None:
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        assert ("Restart=always" in text) == ("Type=oneshot" not in text)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = needed("systemd-analyze", package="systemd")
    folder = str(Path(sys.executable).parent)
    for path in (DEPLOY / "systemd").glob("phash-dagster*"):
        text = path.read_text(encoding="utf-8").replace("/opt/phash-dagster/.venv/bin", folder)
        (tmp_path / path.name).write_text(text)
    names = [str(path) for path in tmp_path.iterdir()]
    assert len(names) >= 6
    done = subprocess.run([program, "verify", *names], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "phash-dagster" in line]
    assert (done.returncode, complaints) == (0, [])
