"""What somebody does who has read the README and nothing else: types, edits files, waits."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from phash_dagster.sandbox.pipeline import LocalPipeline
from phash_dagster.settings import Settings, settings_from
from phash_dagster.stack import home_environment
from tests.ports import free_port

ROOT: Final = Path(__file__).parents[2]
STOP_SECONDS: Final = 120.0
WAIT_SECONDS: Final = 400.0
"""For a start of Dagster on a busy machine, whose modules are compiled for the first time."""


@dataclass(frozen=True)
class Checkout:
    """A clone of this repository, in which a person works."""

    folder: Path

    @classmethod
    def clone(cls, folder: Path) -> "Checkout":
        """Clone what is committed here."""
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        return cls(folder)

    @cached_property
    def readme(self) -> str:
        return (self.folder / "README.md").read_text(encoding="utf-8")

    def rules_of_the_readme(self) -> list[dict[str, Any]]:
        """The rule file that the README shows."""
        [block] = re.findall(r"```json\n(.*?)```", self.readme, flags=re.DOTALL)
        rules: list[dict[str, Any]] = json.loads(block)
        return rules

    def variables_for_going_live(self) -> list[str]:
        """The variables of the table under *Going live*."""
        _, _, section = self.readme.partition("## Going live")
        table = section.partition("\n\n1. ")[0]
        return re.findall(r"^\| `([A-Z_]+)`", table, flags=re.MULTILINE)

    def follow(self, *words: str) -> str:
        """Type a command that the README names, at a prompt or in its text."""
        self.check_named(*words[:2])
        return self.type(*words)

    def check_named(self, *words: str) -> None:
        """Hold a command against the README, which has to name it.

        Raises:
            AssertionError: It does not.
        """
        command = " ".join(words)
        assert re.search(rf"(\$ |`){re.escape(command)}\b", self.readme), f"not there: {command}"

    def type(self, *words: str) -> str:
        """Type a command in a terminal that was made ready as the README says."""
        ready = "source .venv/bin/activate"
        assert f"$ {ready}\n" in self.readme
        if words[0] == "make":
            return self.run(*words)
        return self.run("bash", "-c", f"{ready} && {shlex.join(words)}")

    def run(self, *words: str, accepts: int = 0) -> str:
        """Type a command; returns what it prints.

        Raises:
            AssertionError: Its exit code is another than expected.
        """
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == accepts, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def add_settings(self, values: Mapping[str, str]) -> None:
        """Write settings into `.env`."""
        with (self.folder / ".env").open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in values.items())

    @property
    def environment(self) -> dict[str, str]:
        """This process's own, without settings of ours: those are in `.env`. uv stays offline."""
        own = {name.upper() for name in Settings.model_fields} | {"DAGSTER_HOME", "VIRTUAL_ENV"}
        inherited = {name: value for name, value in os.environ.items() if name not in own}
        return {**inherited, "UV_OFFLINE": "1"}

    def pipeline(self) -> LocalPipeline:
        """What the pipeline of this folder has done so far, for a test to look at."""
        variables = {"DATA_DIR": str(self.folder / "var"), "RULES_DIR": str(self.folder / "rules")}
        settings = settings_from(variables)
        return LocalPipeline(settings, home_environment(settings, variables))


@contextmanager
def dev(checkout: Checkout, log: Path) -> Iterator[str]:
    """Type `make dev` with a port that is free, and at the end Ctrl-C; gives the address of the UI.

    Raises:
        AssertionError: Something that it started is still there after Ctrl-C.
    """
    checkout.check_named("make", "dev")
    port = free_port()
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["make", "dev", f"PORT={port}"],
            cwd=checkout.folder,
            env=checkout.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    children: list[psutil.Process] = []
    try:
        yield f"http://127.0.0.1:{port}"
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does at Ctrl-C
        process.wait(STOP_SECONDS)
        _, alive = psutil.wait_procs(children, timeout=STOP_SECONDS)
        assert children
        assert not alive, f"left behind: {alive}"
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(STOP_SECONDS)


def wait_for(condition: Callable[[], bool], what: str, log: Path) -> None:
    """Wait for something that the running pipeline does.

    Raises:
        AssertionError: It did not do it in time; the text has the end of its log.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not in time\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(1)


def answers(address: str) -> bool:
    """Whether the UI is there."""
    try:
        return httpx.get(address, timeout=30, trust_env=False).is_success
    except httpx.TransportError:
        return False
