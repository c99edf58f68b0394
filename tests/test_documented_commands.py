"""Every command that the documentation shows is run, here or by a test that is named here."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from phash_dagster.cli import app
from phash_dagster.settings import Settings
from tests.alerts.webhook import running_webhook
from tests.documents.commands import PROGRAM, ROOT, Documented, Invocation, documented_commands
from tests.documents.prepared import BACKUP, SLOGAN, Prepared, prepare
from tests.documents.running import run
from tests.preview.past import entry

ELSEWHERE: Final[Mapping[str, str]] = {
    r"phash-dagster dev": "tests/test_stack.py::test_a_signal_to_dev_leaves_no_process_behind",
    r"phash-dagster serve web( --read-only --port 3001)?": "tests/deploy/test_services.py"
    "::test_the_three_find_each_other_and_the_pipeline_runs",
    r"phash-dagster serve (code|daemon)": "tests/deploy/test_postgresql.py"
    "::test_the_pipeline_on_postgresql_does_what_was_published_with_several_runs_at_once",
    r"phash-dagster doctor": "tests/doctor/test_examine.py"
    "::test_the_command_prints_a_table_and_what_to_do",
    r"phash-dagster doctor --json": "tests/doctor/test_examine.py::test_a_problem_is_exit_code_1",
    r"phash-dagster metrics --serve 9477": "tests/metrics/test_command.py"
    "::test_scrapes_are_answered_on_the_loopback_address_alone",
    r"phash-dagster metrics --textfile \S+": "tests/metrics/test_command.py"
    "::test_a_textfile_takes_its_name_in_one_step",
    r"phash-dagster report .*--open": "tests/reports/test_command.py"
    "::test_a_command_of_the_documentation_does_what_it_says",
    r"phash-dagster query.*": "tests/analysis/test_cookbook.py::test_a_command_does_what_it_says",
    r"phash-dagster import-legacy redis://\S+( --dry-run)?": "tests/legacy/test_command.py"
    "::test_a_running_redis_is_imported_once",
    r"duckdb .*": "tests/analysis/test_cookbook.py::test_a_session_in_duckdb_runs_as_it_is_written",
    r"make (environment|check|demo|test)": ".ci/run",
    r"make testnet": ".ci/run",
    r"make dev( PORT=3001)?": "tests/testnet/test_newcomer.py"
    "::test_a_newcomer_gets_a_post_labelled",
    r"make data-model": "tests/analysis/test_data_model.py",
    r"docker compose (up|ps|exec|run|logs|--profile metrics|--profile \* down).*": "tests/deploy/"
    "containers.py::see_that_it_works",
    r"cp \.env\.example \.env": "tests/deploy/containers.py::see_that_it_works",
    r"cd deploy": "tests/deploy/containers.py::see_that_it_works",
    r"useradd .*": "tests/deploy/install.py::see_that_it_works",
    r"systemd-run .*": "tests/deploy/install.py::see_that_it_works",
    r"systemctl .*": "tests/deploy/install.py::see_that_it_works",
    r"install .*": "tests/deploy/install.py::see_that_it_works",
    r"cp .*/etc/.*": "tests/deploy/install.py::see_that_it_works",
    r"cd /opt/.*": "tests/deploy/install.py::see_that_it_works",
    r"mv .*": "tests/deploy/install.py::see_that_it_works",
    r"(apt-get|createuser|createdb) .*": "tests/deploy/install.py::see_that_it_works",
    r"source \.venv/bin/activate": "tests/testnet/test_newcomer.py"
    "::test_a_newcomer_gets_a_post_labelled",
    r"make quick": "Makefile",
    r"make coverage": "Makefile",
    r"bash \.ci/run": ".ci/run",
}
"""Commands that need a network, a terminal of their own or minutes, and what runs them."""

NOT_RUN: Final[Mapping[str, str]] = {
    r"docker run --rm -it caddy:2 .*|docker compose --profile login .*|echo alice .*": "needs a "
    "domain name; the proxy itself is tried in tests/deploy/test_login.py",
    r"git pull": "takes another release",
    r"chmod .*": "changes modes",
    r"cp \.\./predecessor/.*": "copies a file",
    r"uv run .*": "takes minutes and gigabytes",
}
"""Commands of other programs that nobody runs for the sake of a page, and why."""

EXIT_CODES: Final[Mapping[tuple[str, str], int]] = {
    ("docs/commands.md", "phash-dagster rules lint"): 3,
}
"""Where a page shows something that is not well."""

TOLD: Final = (
    r"\d+ images? within \d+ bits of [0-9a-f]+ \(average\)",
    r"0 dangers, 0 hashes set aside",
    r"flat-hash: ffffffffffffffff has 64 of 64 bits set",
    r"1 danger, 1 hash set aside",
    r"Nothing is written or sent\.",
    r"rule mode <= posts accounts images decided new margin",
    r"distance posts images",
    r"action on lane outcome why actions accounts",
    r"actions accounts event label rule because",
    r"^undo \d+ \d+ label raid raid-slogan",
    r"^stop \d+ \d+ label raid raid-slogan",
    r"is in force and goes on with other posts\. To stop it, set its mode to shadow or remove it\.",
    r"Nothing was changed\. --yes does it\.",
    r"rule added: label (raid|troll), shadow;",
    r"changes: \d+, hashes to match with the past: \d+",
    r"^[0-9a-f]{16} \S+\.(png|jpg)",
    r'^{"source": "raid\.png", "algorithm": "perceptual", "hash": "[0-9a-f]{16}", "quality": \d+',
    r"^average \d of 64 bits; match at the usual threshold of 3",
    r"^pdq \d+ of 256 bits; match at the usual threshold of 31",
    r"^average identical (\d+) of \1, within one bit \1, on average 0\.0 bits apart",
    r"The list was made by average\.",
    r"^hash algorithm quality hashed at by compared with rules",
    r"^distance <= rule rule hash found with rules decides",
    r"no: it is 4 bits away, and the threshold is 3",
    r"Nothing was done because the nearest hash, [0-9a-f]{16} of rule raid-slogan, "
    r"is 4 bits away, and its threshold is 3\.",
    r"Delivered as slack\.",
)
"""Output that must come wherever a page shows it; runs of blanks count as one."""

COMMANDS: Final = documented_commands()


def alternatives(key: str) -> list[str]:
    """The patterns that a line of these tables has."""
    return key.split("|") if "(" not in key else [key]


def is_in(table: Mapping[str, str], invocation: Invocation) -> str | None:
    """What the table says about it."""
    found = [value for key, value in table.items() if re.fullmatch(key, invocation.text)]
    return found[0] if found else None


def ours() -> list[tuple[Documented, Invocation]]:
    """The commands that are run here: all whose output is shown, and of the others each once."""
    found = [
        (command, invocation)
        for command in COMMANDS
        for invocation in command.invocations()
        if invocation.program == PROGRAM and not is_in(ELSEWHERE, invocation)
    ]
    once: dict[object, tuple[Documented, Invocation]] = {}
    for command, invocation in sorted(found, key=lambda pair: not pair[0].shown):
        key = (invocation.text, tuple(invocation.variables.items()))
        if command.shown:
            once[(command.page, *key)] = once[key] = (command, invocation)
        else:
            once.setdefault(key, (command, invocation))
    return list(dict.fromkeys(once.values()))


OURS: Final = ours()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(tmp_path_factory.mktemp("documented"))


@pytest.fixture
def prepared(original: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """The pipeline for one command, which finds it by its settings."""
    mine = original.copy(tmp_path / "pipeline")
    for name in (*Settings.model_fields, "dagster_home"):
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in mine.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(mine.desk)
    monkeypatch.setattr("typer.launch", lambda _: 0)  # the browser
    return mine


@pytest.fixture
def webhook(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prepared]:
    with running_webhook() as hook:
        monkeypatch.setenv("ALERT_WEBHOOK_URL", hook.url)
        monkeypatch.setenv("ALERT_FORMAT", "slack")
        yield prepared


def add_a_plain_picture(prepared: Prepared) -> None:
    """A rule file that lint finds a danger in."""
    plain = entry("plain", (1 << 64) - 1)
    (prepared.folder / "rules" / "plain.json").write_text(json.dumps([plain]))


def make_a_backup(prepared: Prepared) -> None:
    """The backup that the pages name."""
    made = CliRunner().invoke(app, ["backup", str(prepared.desk / "backups" / BACKUP)])
    assert made.exit_code == 0, made.output


def lose_the_data(prepared: Prepared) -> None:
    """There is a backup, and nothing else."""
    make_a_backup(prepared)
    data = Path(prepared.variables["DATA_DIR"])
    data.rename(data.with_suffix(".broken"))
    data.mkdir()


def undo_a_label(_: Prepared) -> None:
    """A label that is being taken back."""
    assert CliRunner().invoke(app, ["actions", "undo", "--rule", SLOGAN, "--yes"]).exit_code == 0


BEFORE: Final[Mapping[str, Callable[[Prepared], None]]] = {
    r"docs/commands\.md: phash-dagster rules lint": add_a_plain_picture,
    r".*: phash-dagster restore --check .*": make_a_backup,
    r".*: phash-dagster restore /.*": lose_the_data,
    r".*: phash-dagster actions list .*negate_label.*": undo_a_label,
}
"""What has happened before a command is run."""


def name_of(value: object) -> str:
    return value.text if isinstance(value, Invocation) else getattr(value, "page", str(value))


@pytest.mark.slow
@pytest.mark.parametrize(("command", "invocation"), OURS, ids=name_of)
@pytest.mark.usefixtures("webhook")
def test_a_command_does_what_its_page_says(
    command: Documented, invocation: Invocation, prepared: Prepared
) -> None:
    for key, before in BEFORE.items():
        if re.fullmatch(key, f"{command.page}: {invocation.text}"):
            before(prepared)
    result = run(invocation, prepared)
    assert not result.exception or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert result.exit_code == EXIT_CODES.get((command.page, invocation.text), 0), result.output
    for words in TOLD:
        if shown_by(words, command.shown):
            assert shown_by(words, result.output.splitlines()), f"{words} in {result.output}"


def shown_by(words: str, lines: Sequence[str]) -> bool:
    """Whether one of these lines has the words."""
    return any(re.search(words, " ".join(line.split())) for line in lines)


def test_no_expected_words_are_out_of_use() -> None:
    for words in TOLD:
        assert any(shown_by(words, command.shown) for command in COMMANDS), words


def test_every_command_is_run_by_some_test() -> None:
    unknown = [
        f"{command.page} shows `{invocation.text}`: name the test that runs it in ELSEWHERE"
        for command in COMMANDS
        for invocation in command.invocations()
        if invocation.program != PROGRAM
        and not (is_in(ELSEWHERE, invocation) or is_in(NOT_RUN, invocation))
    ]
    assert not unknown


@pytest.mark.parametrize("named", sorted(set(ELSEWHERE.values())))
def test_the_test_that_runs_a_command_exists(named: str) -> None:
    path, _, name = named.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    if name:
        assert f"def {name}(" in text


def test_what_is_listed_is_documented() -> None:
    shown = [invocation for command in COMMANDS for invocation in command.invocations()]
    for key in (*ELSEWHERE, *NOT_RUN):
        for one in alternatives(key):
            assert any(re.fullmatch(one, invocation.text) for invocation in shown), one


def test_what_ci_is_said_to_run_is_in_it() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for line in ("make environment", "make check", "make demo", "make test", "pytest -m testnet"):
        assert line in script


def make_targets() -> list[str]:
    shown = (invocation for command in COMMANDS for invocation in command.invocations())
    return sorted({each.arguments[0] for each in shown if each.program == "make"})


@pytest.mark.parametrize("target", make_targets())
def test_make_knows_what_to_do(target: str) -> None:
    """`-n`: what would be run is printed."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    done = subprocess.run([make, "-n", target], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_there_is_has_its_place() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    shown = {" ".join(command.line.split()) for command in COMMANDS}
    names = list(commands_of(get_command(app)))
    assert len(names) > 20
    for name in names:
        assert f"`{name}" in page or any(f"phash-dagster {name}" in line for line in shown), name


def commands_of(command: object, prefix: str = "") -> Iterator[str]:
    """The full names of the commands below this one."""
    if not isinstance(command, TyperGroup):
        yield prefix
        return
    for name, child in command.commands.items():
        yield from commands_of(child, f"{prefix} {name}".strip())
