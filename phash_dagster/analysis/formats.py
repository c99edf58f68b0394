"""Answers as text and files."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from phash_dagster.warehouse.parquet_files import write_durably


def rows_of(table: pa.Table) -> Iterator[list[object]]:
    """The rows as Python values."""
    for row in table.to_pylist():
        yield list(row.values())


def as_csv(table: pa.Table) -> str:
    """Comma-separated values (RFC 4180, with line feeds) under a line of names.

    Nothing where there is no value; times as in JSON, lists as JSON.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows([_csv_cell(value) for value in row] for row in rows_of(table))
    return text.getvalue()


def as_json(table: pa.Table) -> str:
    """An array with an object for each row. Times as `2026-11-23T20:15:00+00:00`, in UTC."""
    return json.dumps(table.to_pylist(), indent=2, ensure_ascii=False, default=json_value) + "\n"


def write_parquet(table: pa.Table, path: Path) -> None:
    """The rows with their types, as a Parquet file."""
    write_durably(path, lambda file: pq.write_table(table, file, compression="zstd"))


def as_text(value: object) -> str:
    """A value as people read it; what of a stranger's text cannot be seen is shown as �."""
    match value:
        case None:
            text = ""
        case datetime():
            text = f"{value:%Y-%m-%d %H:%M:%S}"
        case float():
            text = f"{value:g}"
        case list():
            text = ", ".join(map(as_text, value))
        case _:
            text = str(value)
    return "".join(one if one.isprintable() else "�" for one in text)


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers, which stand on the right."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _csv_cell(value: object) -> object:
    match value:
        case datetime() | date():
            return value.isoformat()
        case list() | dict():
            return json.dumps(value, ensure_ascii=False, default=json_value)
        case _:
            return value


def json_value(value: object) -> object:
    """What stands in JSON for a value that has no form of its own there.

    Raises:
        TypeError: Nothing does.
    """
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case timedelta():
            return value.total_seconds()
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")
