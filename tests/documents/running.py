"""Runs documented commands in this process, on a prepared pipeline.

A page writes `…`, `ID` or `4711` for what its reader puts there. `SUBSTITUTES` says what stands for
that here: add a line where a page has something new. `COMPLETE` is for text that names a command
without all that it needs.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from tests.documents.commands import Invocation
from tests.documents.prepared import ALICE, MISSED, SLOGAN, Prepared, held_post, raid_hash

Substitute = Callable[[Prepared], str]

SUBSTITUTES: Final[Mapping[str, Substitute]] = {
    r"https://bsky\.app/profile/did:plc:…/post/3kabc": lambda _: (
        f"https://bsky.app/profile/{ALICE}/post/{MISSED}"
    ),
    r"at://did:plc:…/app\.bsky\.feed\.post/3k…": lambda _: held_post(),
    r"\b4711\b": lambda prepared: str(prepared.numbers["held"]),
    r"\b73a939fd3ca8bc8b\b|\bHASH\b": lambda _: raid_hash(),
    r"\bID\b": lambda _: SLOGAN,
    r"\bNAME\b": lambda _: "silent-rules",
    r"/var/lib/phash-dagster-backups/": lambda prepared: f"{prepared.desk}/backups/",
    r"\[OLD\] \[NEW\]": lambda prepared: f"{prepared.folder}/rules new.json",
}
"""Patterns of what stands in the pages, and what stands for it here."""

COMPLETE: Final[Mapping[str, str]] = {
    "phash-dagster hash --json": "phash-dagster hash --json raid.png",
    "phash-dagster explain": f"phash-dagster explain at://{ALICE}/app.bsky.feed.post/{MISSED}",
    "phash-dagster similar": "phash-dagster similar HASH",
    "phash-dagster similar --json": "phash-dagster similar --json raid.png",
    "phash-dagster query": "phash-dagster query --list",
    "phash-dagster import-legacy": "phash-dagster import-legacy dump.rdb",
}


def filled_in(invocation: Invocation, prepared: Prepared) -> list[str]:
    """The arguments, with something real in the place of every placeholder."""
    text = with_substitutes(COMPLETE.get(invocation.text, invocation.text), prepared)
    return text.split()[1:]


def with_substitutes(text: str, prepared: Prepared) -> str:
    """The text with something real in the place of every placeholder."""
    for pattern, substitute in SUBSTITUTES.items():
        text = re.sub(pattern, lambda _, real=substitute: real(prepared), text)  # type: ignore[misc]
    return text


def run(invocation: Invocation, prepared: Prepared) -> Result:
    """Run it in the current folder; questions are answered with yes."""
    variables = {
        name: with_substitutes(value, prepared) for name, value in invocation.variables.items()
    }
    arguments = filled_in(invocation, prepared)
    result = CliRunner().invoke(app, arguments, input="y\n", env=variables)
    if invocation.output:
        Path(invocation.output).write_text(result.stdout, encoding="utf-8")
    return result
