"""Where rules came from: the texts of their files and the commit that they were checked out at."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_GIT_SECONDS = 10.0
_RULE_FILES = (":(glob)*.json", ":(exclude)schema.json")


@dataclass(frozen=True)
class SourceFile:
    """A rule file as it was read."""

    name: str
    text: str


@dataclass(frozen=True)
class Commit:
    """The commit of a git checkout.

    Attributes:
        commit_id: Its hash in hexadecimal.
        dirty: Whether rule files differ from it, or are not in it.
    """

    commit_id: str
    dirty: bool


@dataclass(frozen=True)
class Origin:
    """What rules were loaded from; empty where nobody knows."""

    files: tuple[SourceFile, ...] = ()
    commit: Commit | None = None


def read_commit(folder: Path) -> Commit | None:
    """The commit that a folder of rule files is checked out at.

    None if it is in no git checkout or has no rule file in one, if git is not installed, or if git
    refuses, as it does where the checkout belongs to another user.
    """
    git = shutil.which("git")
    if git is None:
        return None
    try:
        if not _ask(git, folder, "ls-files", "--", *_RULE_FILES):
            return None
        commit_id = _ask(git, folder, "rev-parse", "HEAD").strip()
        changes = _ask(
            git, folder, "status", "--porcelain", "--ignored", "--untracked-files=all", "--",
            *_RULE_FILES,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return Commit(commit_id, dirty=bool(changes))


def _ask(git: str, folder: Path, *arguments: str) -> str:
    return subprocess.run(  # noqa: S603 - fixed arguments, and a folder from the settings
        [git, "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=_GIT_SECONDS,
        # Looking must not lock the index: the owner of the checkout may be working in it.
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    ).stdout
