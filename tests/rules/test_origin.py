"""The commit that rule files are checked out at."""

import shutil
import subprocess
from pathlib import Path

import pytest

from phash_dagster.rules import Commit, read_commit
from tests.rules.rule_files import rule, write

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@x.test", *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    folder = tmp_path / "rules"
    folder.mkdir()
    write(folder, "blobs.json", [rule()])
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "rules")
    return folder


def test_the_commit_of_a_checkout_is_known(checkout: Path) -> None:
    assert read_commit(checkout) == Commit(git(checkout, "rev-parse", "HEAD"), dirty=False)


@pytest.mark.parametrize("change", ["edit", "add", "ignore", "remove"])
def test_a_rule_file_that_is_not_as_committed_makes_it_dirty(checkout: Path, change: str) -> None:
    if change == "edit":
        write(checkout, "blobs.json", [rule(), rule(label="new")])
    elif change == "remove":
        write(checkout, "other.json", "[]")
        git(checkout, "add", "other.json")
        git(checkout, "commit", "--quiet", "--message", "other")
        (checkout / "blobs.json").unlink()
    else:
        write(checkout, "new.json", "[]")
        if change == "ignore":
            (checkout.parent / ".git/info/exclude").write_text("new.json\n")
    commit = read_commit(checkout)
    assert commit is not None
    assert commit.dirty


def test_other_files_do_not_make_it_dirty(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("x")
    (checkout / "schema.json").write_text("{}")
    (checkout / "drafts").mkdir()
    write(checkout / "drafts", "draft.json", "[]")
    commit = read_commit(checkout)
    assert commit is not None
    assert not commit.dirty


def test_a_folder_outside_a_checkout_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert read_commit(tmp_path) is None


def test_a_checkout_that_holds_no_rule_file_says_nothing_about_them(checkout: Path) -> None:
    elsewhere = checkout.parent / "var"
    elsewhere.mkdir()
    write(elsewhere, "blobs.json", [rule()])
    assert read_commit(elsewhere) is None


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", {}.get)
    assert read_commit(checkout) is None


def test_a_folder_that_is_gone_has_no_commit(tmp_path: Path) -> None:
    assert read_commit(tmp_path / "nowhere") is None
