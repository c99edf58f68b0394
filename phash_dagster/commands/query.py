"""`phash-dagster query`: asks the snapshot one of the questions in `sql/analysis/`."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from phash_dagster.commands.shared import (
    FAILED,
    errors_as_text,
    output,
    progress_line,
    settings_or_exit,
)
from phash_dagster.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from phash_dagster.analysis.ask import Answer
    from phash_dagster.analysis.questions import Question, Value

_OLD: Final = timedelta(hours=1)
"""Age of a snapshot from which on people are told: while the pipeline runs it is made anew."""


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def query(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The question; --list shows them.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="KEY=VALUE",
            help="A parameter, e.g. since=7d or since=2026-11-01; may be repeated.",
        ),
    ] = None,
    output_format: Annotated[
        Format | None,
        typer.Option(
            "--format", "-f", help="How to write the answer; by default as --output ends, or table."
        ),
    ] = None,
    output_file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the answer to a file."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make a new snapshot first.")] = False,
    list_questions: Annotated[
        bool, typer.Option("--list", help="List the questions and their parameters.")
    ] = False,
    show_sql: Annotated[
        bool, typer.Option("--sql", help="Print the statement instead of asking it.")
    ] = False,
) -> None:
    """Ask a question about what was seen, matched and done.

    It is asked of a snapshot, which the pipeline makes anew every 15 minutes.
    """
    from phash_dagster.analysis.questions import QuestionError, find_question

    if list_questions:
        _list()
        return
    if name is None:
        raise typer.BadParameter("name a question, or list them with --list", param_hint="NAME")
    try:
        question = find_question(name)
        values = _values(question, param or [])
    except QuestionError as error:
        _fail(str(error))
    if show_sql:
        typer.echo(question.sql, nl=False)
        return
    wanted = _format(output_format, output_file)
    settings = settings_or_exit()
    with errors_as_text():
        answer = _ask(settings, question, values, fresh=fresh)
        _write(answer.rows, wanted, output_file)
    _say_how_old(answer.taken_at, always=wanted is Format.TABLE)


def _fail(message: str) -> NoReturn:
    typer.echo(f"phash-dagster: {message}", err=True)
    raise typer.Exit(FAILED)


def _list() -> None:
    from rich.markup import escape
    from rich.padding import Padding

    from phash_dagster.analysis.questions import in_one_line, questions

    console = output()
    for question in questions().values():
        console.print(f"[bold]{question.name}[/]", highlight=False)
        console.print(Padding(escape(question.asks), (0, 0, 0, 4), expand=False), highlight=False)
        if question.parameters:
            text = escape(in_one_line(question.parameters))
            console.print(Padding(f"[dim]{text}[/]", (0, 0, 0, 4), expand=False), highlight=False)


def _values(question: "Question", given: list[str]) -> "dict[str, Value]":
    from phash_dagster.analysis.questions import QuestionError
    from phash_dagster.clock import utc_now
    from phash_dagster.preview.since import parse_since

    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise QuestionError(f"write --param {name}=…, a name and a value")
        pairs[name.strip()] = value.strip()
    now = utc_now()
    return question.values(pairs, lambda text: parse_since(text, now))


def _format(given: Format | None, file: Path | None) -> Format:
    ending = file.suffix.removeprefix(".").lower() if file else ""
    by_ending = Format(ending) if ending in set(Format) else Format.TABLE
    wanted = given or by_ending
    if wanted is Format.PARQUET and file is None:
        _fail("parquet is for files: name one with --output FILE")
    return wanted


def _ask(
    settings: Settings, question: "Question", values: "dict[str, Value]", *, fresh: bool
) -> "Answer":
    """Ask the snapshot, or a new one where there is none to ask."""
    import duckdb

    from phash_dagster.analysis.ask import NoSnapshotError, ask

    if not settings.warehouse_path.exists():
        _fail(
            f"DATA_DIR ({settings.data_dir}) has no data yet: start the pipeline with "
            "`phash-dagster dev`, or set DATA_DIR to where its data are"
        )
    with progress_line() as progress:
        if fresh:
            _make_snapshot(settings, progress)
        progress("asking")
        try:
            try:
                return ask(settings.analytics_path, question, values)
            except NoSnapshotError as reason:
                typer.echo(f"Making a snapshot, since {reason}.", err=True)
            _make_snapshot(settings, progress)
            progress("asking")
            return ask(settings.analytics_path, question, values)
        except (NoSnapshotError, duckdb.Error) as error:
            _fail(f"{question.name} cannot be answered: {error}")


def _make_snapshot(settings: Settings, progress: Callable[[str], None]) -> None:
    from phash_dagster.analysis import Sources, make_snapshot
    from phash_dagster.clock import utc_now
    from phash_dagster.ingest import IngestRecords
    from phash_dagster.warehouse import ImagePosts, Warehouse

    sources = Sources(
        Warehouse(settings.warehouse_path),
        ImagePosts(settings.image_posts_dir),
        IngestRecords.under(settings.data_dir),
    )
    make_snapshot(sources, settings.analytics_path, utc_now, progress=progress)


def _write(rows: "pa.Table", wanted: Format, file: Path | None) -> None:
    from phash_dagster.analysis import formats

    if wanted is Format.PARQUET and file is not None:
        formats.write_parquet(rows, file)
    elif wanted is Format.TABLE:
        _print_table(rows, file)
    else:
        text = formats.as_csv(rows) if wanted is Format.CSV else formats.as_json(rows)
        if file is None:
            typer.echo(text, nl=False)
        else:
            file.write_text(text, encoding="utf-8")


def _print_table(rows: "pa.Table", file: Path | None) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from phash_dagster.analysis.formats import as_text, is_number, rows_of

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in rows.schema:
        right = is_number(column.type)
        table.add_column(column.name, justify="right" if right else "left", overflow="fold")
    for row in rows_of(rows):
        table.add_row(*(escape(as_text(value)) for value in row))
    if file is None:
        output().print(table)
    else:
        with file.open("w", encoding="utf-8") as opened:
            output(opened).print(table)


def _say_how_old(taken_at: datetime, *, always: bool) -> None:
    """Say as of when the answer is, on the other channel: it is no part of the answer."""
    from phash_dagster.clock import utc_now

    is_old = utc_now() - taken_at > _OLD
    if is_old or always:
        hint = "; --fresh makes a new snapshot" if is_old else ""
        typer.echo(f"As of {taken_at:%Y-%m-%d %H:%M:%S} UTC{hint}.", err=True)
