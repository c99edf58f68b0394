"""A sandbox that is well, and a pipeline's settings that point at it."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from PIL import Image

from phash_dagster.doctor import Finding, Status, Surroundings, examine
from phash_dagster.sandbox import Account, Sandbox
from phash_dagster.settings import settings_from

WELL = (Status.OK, Status.SKIPPED)

RULE = {
    "phashes": ["783101f7e7870f0f"],
    "label": "troll",
    "comment": "known image",
    "reportAcct": False,
    "labelAcct": False,
    "reportPost": True,
    "toLabel": True,
}


def pytest_configure(config: pytest.Config) -> None:
    """Make the `testnet` fixture known here, the same instance as elsewhere."""
    config.pluginmanager.import_plugin("tests.testnet.plugin")


@dataclass
class Practice:
    """Settings that can be spoilt, one thing at a time, and what the doctor then says."""

    folder: Path
    sandbox: Sandbox
    variables: dict[str, str]
    around: Surroundings = field(
        default_factory=lambda: Surroundings(
            listen_seconds=0.5, free_bytes=lambda _: 10**12, environment={}
        )
    )

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def set(self, **variables: str) -> None:
        self.variables |= variables

    def surround(self, **changes: object) -> None:
        self.around = replace(self.around, **changes)  # type: ignore[arg-type]

    def findings(self) -> Sequence[Finding]:
        """All of them; whatever is wrong comes with what to do, in every test of a fault."""
        found = examine(settings_from(self.variables), self.around)
        assert [one for one in found if one.status not in WELL and not one.advice.strip()] == []
        return found

    def about(self, about: str) -> Finding:
        """The one finding about this; everything else must be well."""
        findings = self.findings()
        others = [one for one in findings if one.about != about and one.status not in WELL]
        assert not others
        [found] = [one for one in findings if one.about == about]
        return found

    def write_rules(self, *rules: Mapping[str, object]) -> None:
        path = self.folder / "rules" / "rules.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(rules))


def picture() -> bytes:
    stream = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as network:
        author = network.world.create_account("author.test")
        network.world.publish_post(author, [picture()])
        yield network


@pytest.fixture
def practice(tmp_path: Path, sandbox: Sandbox) -> Practice:
    made = Practice(
        tmp_path,
        sandbox,
        {
            **sandbox.settings_environment(),
            "MODERATION_MODE": "live",
            "DATA_DIR": str(tmp_path / "data"),
            "RULES_DIR": str(tmp_path / "rules"),
        },
    )
    made.write_rules(RULE)
    declare_labels(sandbox, "troll")
    return made


def declare_labels(sandbox: Sandbox, *labels: str) -> None:
    """Let the labeler say which labels it gives, as its operator does in Ozone."""
    repositories, did = sandbox.world.repositories, sandbox.world.labeler_did
    if repositories.find(did) is None:
        repositories.add(Account(did, "labeler.test", "unused"))
    record = {"$type": "app.bsky.labeler.service", "policies": {"labelValues": list(labels)}}
    repositories.put_record(f"at://{did}/app.bsky.labeler.service/self", record)
