"""The image: what it promises, and that its commands work from nothing."""

import subprocess
import sys
from pathlib import Path

from tests.deploy.dockerfile import Workshop, ignored_by_docker, stages

DEPENDENCIES, PROJECT, FINAL = stages()


def test_the_last_stage_runs_as_a_user_without_rights() -> None:
    [user] = FINAL.of("USER")
    assert user == "10001:10001"
    kinds = [kind for kind, _ in FINAL.instructions]
    assert "RUN" not in kinds[kinds.index("USER") :]


def test_the_last_stage_takes_the_dependencies_in_a_layer_of_their_own() -> None:
    copies = FINAL.of("COPY")
    assert copies == [
        "--from=dependencies /opt/phash-dagster /opt/phash-dagster",
        "--from=project /app /app",
    ]
    # So that a change of the code does not change it.
    assert DEPENDENCIES.of("COPY") == ["pyproject.toml uv.lock ./"]


def test_no_compiler_and_no_package_manager_get_into_the_last_stage() -> None:
    assert not any("apt-get" in text or "uv " in text for text in FINAL.of("RUN"))


def test_versions_are_named() -> None:
    text = "\n".join(text for stage in stages() for _, text in stage.instructions)
    assert ":latest" not in text
    assert "uv==" in text
    assert "--frozen" in text


def test_neither_secrets_nor_data_get_into_the_image() -> None:
    assert not {".env", "var", ".git", "rules", "tests", "deploy"} & set(ignored_by_docker())
    lines = (Path(__file__).parents[2] / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in lines


def built(root: Path) -> Workshop:
    """What the stages leave behind, made with a Python that has nothing installed."""
    subprocess.run([sys.executable, "-m", "venv", root / "python"], check=True)
    workshop = Workshop(root, str(root / "python" / "bin" / "python3"))
    # Root's packages are not ours to change in a test; CI installs the compiler itself.
    workshop.build(DEPENDENCIES, skip=("apt-get",))
    workshop.build(PROJECT)
    return workshop
