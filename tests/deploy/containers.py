"""Follows docs/production.md, *With Docker*, on this machine's Docker engine, and sees it work.

    python -m tests.deploy.containers

Every command of the page is typed as it stands there, but that nobody sits at a terminal; the
network is the sandbox's. Then: a post is labelled, metrics are there, and after the volumes are
lost a backup brings everything back. All of it is removed at the end.

Needs root, an engine with `docker compose`, and the images that deploy/ names.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from phash_dagster.sandbox import Sandbox
from tests.deploy.forward import reached_at
from tests.deploy.known_posts import NAMED_BACKUP, PAGE, KnownPosts, rule_file
from tests.deploy.waiting import wait_for
from tests.documents.commands import ROOT, commands_of_section
from tests.ports import free_port

PROJECT: Final = "phash-dagster-tried"
"""Not the one of a pipeline that runs here in earnest."""


@dataclass
class Installation:
    """What is typed, and the network around it."""

    work: Path
    known: KnownPosts
    settings: dict[str, str]
    backup: str = NAMED_BACKUP

    @property
    def folder(self) -> Path:
        return self.work / "phash-dagster" / "deploy"

    def follow(self, heading: str) -> None:
        """Type the commands for Docker in a section as they stand there; there must be some."""
        lines = [command.line for command in commands_of_section(PAGE, heading)]
        ours = [line for line in lines if re.match(r"docker|cp \.env|install -d -o 10001", line)]
        assert ours, heading
        for line in ours:
            self.type(line)
            if line.startswith("cp .env"):
                self._fill_in()

    def type(self, line: str) -> str:
        """Type a command in the folder that the page is in; returns what it prints.

        Raises:
            AssertionError: It failed.
        """
        print(f"$ {line}", flush=True)
        line = line.replace(NAMED_BACKUP, self.backup)
        line = re.sub(r"(?<=[ ])/backups(?=:|$)", str(self.work / "backups"), line)
        line = line.replace("exec code", "exec -T code").replace("run --rm", "run --rm -T")
        done = subprocess.run(
            ["bash", "-ec", line],
            cwd=self.folder,
            env={**os.environ, "COMPOSE_PROJECT_NAME": PROJECT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}"
        return done.stdout

    def _fill_in(self) -> None:
        """What a person writes into the files of settings and rules."""
        file = self.folder / ".env"
        text = file.read_text().replace("POSTGRES_PASSWORD=", "POSTGRES_PASSWORD=0123456789abcdef")
        lines = (f"{name}={value}\n" for name, value in self.settings.items())
        file.write_text(f"{text}\n{''.join(lines)}")
        (self.work / "phash-dagster" / "rules" / "blobs.json").write_text(rule_file())

    def label_another(self, what: str) -> None:
        self.known.label_another(what, self.wait_for)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that the services do."""
        wait_for(condition, what, lambda: self.type("docker compose logs --tail 100"))

    def wait_for_words(self, service: str, words: str) -> None:
        """Wait until a service has said this."""
        said = re.compile(words)
        logs = f"docker compose logs --no-color {service}"
        self.wait_for(lambda: said.search(self.type(logs)) is not None, words)


def see_that_it_works(one: Installation) -> None:
    """The page from top to bottom, and what it promises."""
    one.follow("## With Docker")
    one.wait_for_words("daemon", "jetstream_sensor skipped")
    one.wait_for_words("code", "load_rules .* RUN_SUCCESS")
    one.label_another("a post is labelled")

    one.type("docker compose --profile metrics up -d")
    port = one.settings["METRICS_PORT"]
    scraped = one.type(
        f"curl --silent --fail --retry 9 --retry-all-errors localhost:{port}/metrics"
    )
    assert re.search(r"^phash_dagster_actions_sent_total\{.*\} 1", scraped, flags=re.MULTILINE)
    print("ok: metrics", flush=True)

    one.follow("## Backup")
    [one.backup] = (path.name for path in (one.work / "backups").iterdir())
    one.label_another("after the backup, of which it knows nothing")
    one.follow("## Restore")
    one.label_another("after the restore, and nothing twice")
    one.wait_for(lambda: all_recorded(one), "what the backup did not know is in the ledger again")


def all_recorded(one: Installation) -> bool:
    """Whether the ledger has an action on every post."""
    recorded = one.type("docker compose exec code phash-dagster actions list --json")
    return all(post.uri in recorded for post in one.known.posts)


def address_of_this_machine() -> str:
    """Where containers reach this machine: the gateway of Docker's own bridge."""
    form = "{{range .IPAM.Config}}{{.Gateway}}{{end}}"
    command = ["docker", "network", "inspect", "bridge", "--format", form]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    """Try it, and remove it."""
    with TemporaryDirectory(prefix="phash-containers-") as temporary, Sandbox() as sandbox:
        work = Path(temporary)
        subprocess.run(["git", "clone", "--quiet", ROOT, work / "phash-dagster"], check=True)
        settings = {
            **reached_at(address_of_this_machine(), sandbox.settings_environment()),
            "MODERATION_MODE": "live",
            "WEB_PORT": str(free_port()),
            "METRICS_PORT": str(free_port()),
        }
        one = Installation(work, KnownPosts(sandbox), settings)
        try:
            see_that_it_works(one)
        finally:
            one.type("docker compose --profile '*' down --volumes")
    print("All of the page works.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
