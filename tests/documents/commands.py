"""Collects the command lines that the documentation shows, with what it shows of their output."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "rules" / "README.md",
)
PROGRAM: Final = "phash-dagster"

_FENCE: Final = re.compile(r"^ *```(\S*)\n(.*?)^ *```", flags=re.MULTILINE | re.DOTALL)
_INLINE: Final = re.compile(r"`([^`]+)`")
_ASSIGNMENT: Final = re.compile(r"[A-Z_]+=.*", flags=re.DOTALL)
_WITH_ARGUMENTS: Final = re.compile(r"([A-Z_]+=\S+ )*(\.venv/bin/)?(phash-dagster|make|duckdb) \S")


@dataclass(frozen=True)
class Invocation:
    """One program, as a shell would start it.

    Attributes:
        words: The program and its arguments, without path and quotes.
        variables: The assignments before it.
        output: The file that its output goes to, if it is not shown.
    """

    words: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict, hash=False)
    output: str | None = None

    @property
    def program(self) -> str:
        return self.words[0]

    @property
    def arguments(self) -> tuple[str, ...]:
        return self.words[1:]

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Documented:
    """A command line in a page, and the lines of output that the page shows below it."""

    page: str
    line: str
    shown: tuple[str, ...] = ()

    def invocations(self) -> Iterator[Invocation]:
        """Its programs in order; of a pipe the first, which is the one that the page is about."""
        words = shlex.split(self.line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            yield _invocation(words[:end])
            words = words[end + 1 :]


def documented_commands() -> list[Documented]:
    """Every command line of every page: behind a prompt, or in running text."""
    return [command for page in PAGES for command in commands_in(page)]


def commands_in(page: Path) -> Iterator[Documented]:
    """The command lines of a page, those in blocks first."""
    name, text = str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")
    for language, block in _FENCE.findall(text):
        if language in ("", "console"):
            yield from _behind_prompts(name, block)
    for span in _INLINE.findall(_FENCE.sub("", text)):
        line = " ".join(span.split())
        if _WITH_ARGUMENTS.match(line):
            yield Documented(name, line)


def commands_of_section(page: Path, heading: str) -> Iterator[Documented]:
    """The command lines behind prompts below a heading, up to the next of its kind."""
    name, text = str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")
    _, _, section = text.partition(f"\n{heading}\n")
    assert section, f"{name} has no {heading!r}"
    level = heading.partition(" ")[0]
    for _, block in _FENCE.findall(section.partition(f"\n{level} ")[0]):
        yield from _behind_prompts(name, block)


def _behind_prompts(page: str, block: str) -> Iterator[Documented]:
    line: str | None = None
    shown: list[str] = []
    for each in textwrap.dedent(block).splitlines():
        if line is not None and line.endswith("\\"):
            line = f"{line[:-1].rstrip()} {each.strip()}"
        elif each.startswith(("$ ", "# ")):
            if line is not None:
                yield Documented(page, line, tuple(shown))
            line, shown = each[2:], []
        elif not each.startswith("D "):  # what is typed in DuckDB's shell
            shown.append(each)
    if line is not None:
        yield Documented(page, line, tuple(shown))


def _invocation(words: list[str]) -> Invocation:
    if "|" in words:
        words = words[: words.index("|")]
    output = None
    if place := next((at for at, word in enumerate(words) if word in (">", ">>")), None):
        output, words = words[place + 1], words[:place]
    for wrapper in ("runuser", "env"):
        if words[0] == wrapper:
            words = words[words.index("--") + 1 :] if "--" in words else words[1:]
    variables = {}
    while _ASSIGNMENT.fullmatch(words[0]):
        name, _, value = words[0].partition("=")
        variables[name] = value
        words = words[1:]
    program = PROGRAM if Path(words[0]).name == PROGRAM else words[0]
    return Invocation((program, *words[1:]), variables, output)
