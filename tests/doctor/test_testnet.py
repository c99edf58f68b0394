"""Login and role at the real PDS and Ozone."""

import json
from pathlib import Path

import pytest

from phash_dagster.doctor import Finding, Status, Surroundings, examine
from phash_dagster.settings import settings_from
from tests.doctor.conftest import RULE
from tests.testnet.testnet import Testnet

pytestmark = pytest.mark.testnet


def findings(testnet: Testnet, folder: Path, **changes: str) -> dict[str, Finding]:
    (folder / "rules").mkdir(exist_ok=True)
    variables = {
        **testnet.settings_environment("ws://127.0.0.1:1/subscribe"),
        "MODERATION_MODE": "live",
        "DATA_DIR": str(folder / "data"),
        "RULES_DIR": str(folder / "rules"),
        **changes,
    }
    found = examine(settings_from(variables), Surroundings(listen_seconds=0.1))
    return {one.about: one for one in found}


def test_the_moderator_may_log_in_and_label(testnet: Testnet, tmp_path: Path) -> None:
    found = findings(testnet, tmp_path)
    for about in ("labeler", "login", "role", "plc", "pds", "cdn", "clock"):
        assert found[about].status == Status.OK, found[about]
    assert found["role"].found == f"moderator at {testnet.labeler_did}"


@pytest.mark.parametrize("name", ["triage", "stranger"])
def test_who_may_not_label_is_told_so(testnet: Testnet, tmp_path: Path, name: str) -> None:
    who = testnet.triage if name == "triage" else testnet.create_author("doctor")
    found = findings(testnet, tmp_path, AUTOMOD_HANDLE=who.handle, AUTOMOD_PASSWORD=who.password)
    assert found["login"].status in (Status.OK, Status.WARNING)
    assert found["role"].status == Status.PROBLEM
    assert "moderator" in found["role"].advice


def test_a_wrong_password_is_told(testnet: Testnet, tmp_path: Path) -> None:
    found = findings(testnet, tmp_path, AUTOMOD_PASSWORD="aaaa-bbbb-cccc-dddd")
    assert found["login"].status == Status.PROBLEM
    assert "AUTOMOD_PASSWORD" in found["login"].advice


def test_a_labeler_whose_ozone_is_down_is_told(testnet: Testnet, tmp_path: Path) -> None:
    found = findings(testnet, tmp_path, LABELER_DID=testnet.unreachable_labeler_did)
    assert found["role"].status == Status.PROBLEM


def test_labels_of_a_labeler_without_a_record_are_a_warning(
    testnet: Testnet, tmp_path: Path
) -> None:

    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "rules.json").write_text(json.dumps([RULE]))
    found = findings(testnet, tmp_path)
    assert found["labels"].status == Status.WARNING
    assert "no record" in found["labels"].found
