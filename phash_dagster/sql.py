"""Loads the statements under `sql/` by name, so that SQL is read and reviewed as SQL."""

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent


def sql_root() -> Path:
    """The `sql/` folder: inside the package when installed, beside it in a checkout."""
    installed = _PACKAGE / "sql"
    return installed if installed.is_dir() else _PACKAGE.parent / "sql"


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`, e.g. `statement("matching/match_partition")`.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return (sql_root() / f"{name}.sql").read_text(encoding="utf-8")


def temporary_view(name: str) -> str:
    """The statement that makes of `sql/<name>.sql`, a question, a temporary view of its own name.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return f"CREATE OR REPLACE TEMP VIEW {name.rpartition('/')[2]} AS\n{statement(name)}"


def statements(folder: str) -> dict[str, str]:
    """Every statement of a folder by file name without suffix, in name order."""
    return {
        path.stem: path.read_text("utf-8") for path in sorted((sql_root() / folder).glob("*.sql"))
    }
