"""The image: what it promises, and that its commands work from nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.deploy.dockerfile import Stage, Workshop, ignored_by_docker, stages
from tests.programs import needed

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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_of_the_image_make_a_code_server_that_answers(tmp_path: Path) -> None:
    needed("c++", package="g++")
    # Short: the socket's path must be.
    root = Path("/tmp") / f"phash-image-{os.getpid()}"
    root.mkdir()
    try:
        workshop = built(root)
        workshop.build(Stage("", "", [(k, t) for k, t in FINAL.instructions if k == "ENV"]))
        workshop.environment["RULES_DIR"] = str(tmp_path)
        start = workshop.environment["PATH"].replace("$PATH", os.environ["PATH"])
        environment = {**workshop.environment, "PATH": start, "HOME": str(root)}
        _answers(workshop, environment)
    finally:
        shutil.rmtree(root)


def _answers(workshop: Workshop, environment: dict[str, str]) -> None:
    [health] = FINAL.of("HEALTHCHECK")
    check = workshop.inside(health.partition("CMD ")[2])
    entry = workshop.inside("/app/bin/phash-dagster")
    log = Path(workshop.inside("/var/lib/phash-dagster")).with_suffix(".log")
    log.parent.mkdir(parents=True)
    with log.open("wb") as output:
        server = subprocess.Popen(
            [entry, "serve", "code"], env=environment, cwd="/", stdout=output, stderr=output
        )
        try:
            deadline = time.monotonic() + 120
            command = [str(part) for part in json.loads(check)]
            while subprocess.run(command, env=environment, capture_output=True).returncode:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.5)
        finally:
            server.terminate()
            server.wait(100)
    assert "Shadow mode" in log.read_text()
