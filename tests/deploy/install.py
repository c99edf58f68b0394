"""Follows docs/production.md, *With systemd*, on a Debian of its own, and sees that it works.

    python -m tests.deploy.install
    python -m tests.deploy.install --postgresql

Every command of the page is typed as it stands there; the network is the sandbox's. Then: a post is
labelled; a killed service comes back; commands, metrics and a backup do what the page says; the
data is lost and comes back from the backup; an upgrade and a restart lose nothing.

Needs root, debootstrap and systemd-container. Takes minutes, most of them for Debian and packages;
`--base FOLDER` keeps the Debian, as it is before anything is done to it, for the next time.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from phash_dagster.sandbox import Sandbox
from tests.deploy.known_posts import NAMED_BACKUP, PAGE, KnownPosts, rule_file
from tests.deploy.machine import Machine, make_root, running
from tests.deploy.waiting import wait_for
from tests.documents.commands import ROOT, commands_of_section

SERVICES: Final = ("phash-dagster-code", "phash-dagster-daemon", "phash-dagster-web")
POSTGRESQL: Final = ("apt-get install", "runuser -u postgres")
"""How the commands begin that only who wants PostgreSQL types; they come first then."""


@dataclass
class Installation:
    """What is done on the machine, and on the network that it watches."""

    machine: Machine
    sandbox: Sandbox
    postgresql: bool
    backup: str = NAMED_BACKUP
    folder: str = "/root"
    known: KnownPosts = field(init=False)

    def __post_init__(self) -> None:
        self.known = KnownPosts(self.sandbox)

    def follow(self, heading: str) -> None:
        """Type the commands of a section as they stand there; there must be some."""
        lines = list(self._lines(heading))
        assert lines, heading
        for line in lines:
            self.type(line)
            if "code.env" in line:
                self._fill_in()

    def _lines(self, heading: str) -> Iterator[str]:
        """Its commands, without those for Docker."""
        lines = [command.line for command in commands_of_section(PAGE, heading)]
        if self.postgresql:
            yield from (line for line in lines if line.startswith(POSTGRESQL))
        for line in lines:
            if not line.startswith(POSTGRESQL) and "docker" not in line and "-o 10001" not in line:
                yield line

    def type(self, line: str) -> str:
        """Type a command in the folder where the one before ended; returns what it prints."""
        print(f"# {line}", flush=True)
        line = line.replace(NAMED_BACKUP, self.backup)
        # What a person answers with yes, and leaves with q.
        line = line.replace("apt-get install", "apt-get install --yes").replace("git pull", "true")
        printed = self.machine.run(f"cd {self.folder}\n{line}\npwd > /run/folder")
        self.folder = self.machine.run("cat /run/folder").strip()
        return printed

    def _fill_in(self) -> None:
        """What a person writes into the files of settings and rules."""
        settings = {**self.sandbox.settings_environment(), "MODERATION_MODE": "live"}
        lines = (f"{name}={value}\n" for name, value in settings.items())
        self.machine.write("/etc/phash-dagster/code.env", "".join(lines))
        self.machine.write("/etc/phash-dagster/rules/blobs.json", rule_file())
        if self.postgresql:
            self.machine.run("sed -i 's/^#\\(.*postgresql\\)/\\1/' /etc/phash-dagster/env")

    def label_another(self, what: str) -> None:
        self.known.label_another(what, self.wait_for)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that the services do."""
        journal = "journalctl --no-pager -n 200 -u 'phash-dagster-*'"
        wait_for(condition, what, lambda: self.machine.run(journal, check=False))

    def wait_for_words(self, words: str, what: str) -> None:
        """Wait until a service has said this."""
        said = f"journalctl --no-pager --quiet -u 'phash-dagster-*' --grep '{words}'"
        self.wait_for(lambda: bool(self.machine.run(said, check=False).strip()), what)

    def wait_for_services(self) -> None:
        for unit in SERVICES:
            self.wait_for(partial(self.machine.is_active, unit), f"{unit} runs")


def see_that_it_works(one: Installation) -> None:
    """The page from top to bottom, and what it promises."""
    machine = one.machine
    one.follow("## With systemd")
    one.wait_for_services()
    # Posts from before the first look are not read, those from before the rules are the past.
    one.wait_for_words("jetstream_sensor skipped", "a first look")
    one.wait_for_words("load_rules .* RUN_SUCCESS", "the rules in force")
    one.label_another("a post is labelled")
    print(machine.run("systemctl --no-pager status 'phash-dagster-*' | grep -E '●|Active'"))
    assert one.known.posts[0].uri in one.type("phash-dagster actions list --state sent --json")
    see_that_secrets_stay_where_they_belong(one)

    machine.run("systemctl kill --signal=KILL phash-dagster-code")
    one.label_another("after the code server was killed")

    one.type("systemctl enable --now phash-dagster-metrics")
    scraped = "curl --silent --fail http://127.0.0.1:9477/metrics"
    one.wait_for(lambda: "actions_sent_total" in machine.run(scraped, check=False), "metrics")
    print("ok: metrics", flush=True)

    one.follow("## Upgrade")
    [one.backup] = machine.run("ls /var/lib/phash-dagster-backups").split()
    one.wait_for_services()
    one.label_another("after the upgrade")

    if one.postgresql:
        see_that_databases_are_empty(one)
    one.follow("## Restore")
    one.wait_for_services()
    one.label_another("after the restore, and nothing twice")
    one.type("phash-dagster doctor")


def see_that_secrets_stay_where_they_belong(one: Installation) -> None:
    """Only the code server knows the password."""
    password = one.sandbox.settings_environment()["AUTOMOD_PASSWORD"]
    for unit in SERVICES:
        show = f"systemctl show --property=MainPID --value {unit}"
        seen = one.machine.run(f"tr '\\0' '\\n' < /proc/$({show})/environ")
        assert (password in seen) == (unit == "phash-dagster-code"), unit
    print("ok: only the code server has the password", flush=True)


def see_that_databases_are_empty(one: Installation) -> None:
    """For the restore: the page asks for it."""
    one.machine.run("systemctl stop phash-dagster.target")
    for command in ("dropdb phash", "createdb --owner phash-dagster phash"):
        one.machine.run(f"runuser -u postgres -- {command}")


def main() -> int:
    """Make the machine, and try it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--postgresql", action="store_true", help="with PostgreSQL, too")
    parser.add_argument("--base", type=Path, help="where Debian is kept")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="phash-machine-") as temporary:
        root = Path(temporary, "root")
        base = options.base or Path(temporary, "base")
        make_root(base)
        subprocess.run(["cp", "--archive", str(base), str(root)], check=True)
        checkout = root / "opt" / "phash-dagster"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
        with Sandbox() as sandbox, running(root) as machine:
            see_that_it_works(Installation(machine, sandbox, options.postgresql))
    print("All of the page works.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
