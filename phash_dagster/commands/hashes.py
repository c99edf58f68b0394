"""`phash-dagster hash`, `compare` and `calibrate`: hashes of files, URLs and records at hand."""

import json
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from phash_dagster.commands.shared import settings_or_exit

if TYPE_CHECKING:
    from rich.console import Console

    from phash_dagster.hashing import HashAlgorithm
    from phash_dagster.images.files import HashedImage, HashResult, ImageHasher, UnhashedImage

DEFAULT_ALGORITHM: Final = "average"

_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

BAR_FROM: Final = 20
"""Sources from which a progress bar is shown."""

AlgorithmOption = Annotated[
    list[str] | None,
    typer.Option(
        "--algorithm",
        "-a",
        metavar="NAME",
        help="Hash algorithm; several by commas or by repeating the option.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(name="hash")(hash_command)
    app.command()(compare)
    app.command()(calibrate)


def hash_command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Image files, folders (every image in them), https URLs, at:// URIs of records; "
            "- reads standard input.",
        ),
    ],
    algorithm: AlgorithmOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line and algorithm.")
    ] = False,
) -> None:
    """Print the average hash of each image, as sha256sum does: hash, two spaces, path.

    With several algorithms each line begins with the algorithm's name. What cannot be hashed is one
    line on standard error, or with --json an object with an error; the exit code is then 1.
    """
    from phash_dagster.images.sources import SourceHasher, expand

    hasher = _limited(_algorithms(algorithm))
    output = _Output()
    show = _JsonLines(output) if as_json else _TextLines(output, len(hasher.algorithms))
    expanded = expand(sources)
    with (
        SourceHasher(hasher, settings_or_exit, sys.stdin.buffer) as source_hasher,
        _progress(source_hasher.results(expanded), len(expanded), output) as results,
    ):
        for result in results:
            show(result)
    if not (show.hashed or show.failed):
        typer.echo(f"phash-dagster: there is no image in {', '.join(sources)}", err=True)
    if show.failed or not show.hashed:
        raise typer.Exit(1)


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A file, URL, at:// URI or hexadecimal hash.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    algorithm: AlgorithmOption = None,
) -> None:
    """Print by how many bits two images or hashes differ, for each algorithm.

    All algorithms are compared unless some are named. A hash is taken for one by each of the
    algorithms that have hashes of its length. Beside each distance stands whether it counts as the
    same image at the threshold that is usual for the algorithm.
    """
    from phash_dagster.hashing import built_in_algorithms
    from phash_dagster.images.compare import compared

    algorithms = _algorithms(algorithm) if algorithm else built_in_algorithms()
    hasher = _limited(algorithms)
    one, other = (_images(name, hasher) for name in (first, second))
    lines = list(compared(one, other, algorithms))
    if not lines:
        _fail("the two have no algorithm in common; hashes are compared by length")
    for line in lines:
        typer.echo(_on_one_line(line))


def calibrate(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS.CSV",
            help="Lines of image and hash: a path (relative to the file), URL or at:// URI, a "
            "comma, 16 or 64 hexadecimal digits. A first line `image,hash` is allowed.",
        ),
    ],
) -> None:
    """Tell which algorithm, and which variant of the average hash, made a list of hashes.

    Give about 20 images whose hash you know, photos in colour best. The exit code is 0 if one
    algorithm made them, 1 if that cannot be told.
    """
    from phash_dagster.hashing import built_in_algorithms
    from phash_dagster.images.calibrate import agreements, read_pairs, verdict
    from phash_dagster.images.files import UnhashedImage
    from phash_dagster.images.sources import hash_all

    try:
        known = read_pairs(pairs)
    except (OSError, ValueError) as error:
        typer.echo(f"phash-dagster: {pairs}: {error}", err=True)
        raise typer.Exit(2) from None
    algorithms = built_in_algorithms()
    names = [pair.image for pair in known]
    results = hash_all(names, _limited(algorithms), settings_or_exit, sys.stdin.buffer)
    for result in (result for each in results for result in each):
        if isinstance(result, UnhashedImage):
            _Output().failure(result)
    table = agreements(known, results, algorithms)
    for agreement in table:
        typer.echo(agreement)
    decision = verdict(table)
    typer.echo(decision.text)
    if not decision.algorithm:
        raise typer.Exit(1)


class _Output:
    """Where lines go: above the progress bar while one is drawn there."""

    def __init__(self) -> None:
        self.bar: Console | None = None

    def line(self, text: str) -> None:
        """A line for standard output."""
        if self.bar and sys.stdout.isatty():
            self._above(self.bar, text)
        else:
            typer.echo(text)

    def failure(self, result: "UnhashedImage") -> None:
        """A line for standard error."""
        text = _on_one_line(f"phash-dagster: {result.source}: {result.reason}")
        if self.bar:
            self._above(self.bar, text)
        else:
            typer.echo(text, err=True)

    def _above(self, bar: "Console", text: str) -> None:
        bar.print(text, markup=False, highlight=False, soft_wrap=True)


class _TextLines:
    """Shows a line per hash and per failure."""

    def __init__(self, output: _Output, algorithms: int) -> None:
        self.hashed = self.failed = 0
        self._output = output
        self._named = algorithms > 1

    def __call__(self, result: "HashResult") -> None:
        from phash_dagster.images.files import UnhashedImage

        if isinstance(result, UnhashedImage):
            self.failed += 1
            self._output.failure(result)
            return
        self.hashed += 1
        for each in result.hashes:
            name = f"{each.algorithm}  " if self._named else ""
            self._output.line(f"{name}{each.hash}  {_on_one_line(result.source)}")


class _JsonLines:
    """Shows a JSON object per hash and per failure, all on standard output."""

    def __init__(self, output: _Output) -> None:
        self.hashed = self.failed = 0
        self._output = output

    def __call__(self, result: "HashResult") -> None:
        from phash_dagster.images.files import UnhashedImage

        if isinstance(result, UnhashedImage):
            self.failed += 1
            self._print({"source": result.source, "error": result.reason})
            return
        self.hashed += 1
        for each in result.hashes:
            self._print(
                {
                    "source": result.source,
                    "algorithm": each.algorithm,
                    "hash": each.hash,
                    "quality": each.quality,
                    "width": result.width,
                    "height": result.height,
                    "format": result.format,
                    "rendition": result.rendition,
                }
            )

    def _print(self, fields: dict[str, object]) -> None:
        # File names need not be text; what is not stays readable as escapes.
        self._output.line(json.dumps(fields))


def _on_one_line(text: str) -> str:
    """Text without control characters, which a file name can have: they would steer the terminal.

    Nor bytes that are no text, which cannot be printed. Both are written as escapes.
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@contextmanager
def _progress(
    results: Iterable[tuple["HashResult", ...]], total: int, output: _Output
) -> Iterator[Iterator["HashResult"]]:
    """The single results, with a bar on standard error if a person watches many."""
    if total < BAR_FROM or not sys.stderr.isatty():
        yield (result for each in results for result in each)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    output.bar = Console(stderr=True)
    with Progress(*columns, console=output.bar, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=total)

        def counted() -> Iterator["HashResult"]:
            for each in results:
                bar.advance(task)
                yield from each

        yield counted()
    output.bar = None


def _images(name: str, hasher: "ImageHasher") -> list["HashedImage"]:
    """The images that a name stands for, or a hash as one; failures end the command."""
    from phash_dagster.images.compare import parsed_hash
    from phash_dagster.images.files import HashedImage, UnhashedImage
    from phash_dagster.images.sources import hash_all

    given = parsed_hash(name, hasher.algorithms)
    if given and not Path(name).exists():
        return [given]
    [results] = hash_all([name], hasher, settings_or_exit, sys.stdin.buffer)
    for result in results:
        if isinstance(result, UnhashedImage):
            _Output().failure(result)
    images = [result for result in results if isinstance(result, HashedImage)]
    if not results:
        _fail(f"there is no image in {name}")
    if not images:
        raise typer.Exit(1)
    return images


def _names(option: Sequence[str] | None) -> list[str]:
    given = (name.strip() for text in option or (DEFAULT_ALGORITHM,) for name in text.split(","))
    return list(dict.fromkeys(name for name in given if name))


def _algorithms(option: Sequence[str] | None) -> list["HashAlgorithm"]:
    from phash_dagster.hashing import get_algorithm

    try:
        return [get_algorithm(name) for name in _names(option)]
    except (ValueError, TypeError) as error:
        raise typer.BadParameter(str(error), param_hint="--algorithm") from None


def _limited(algorithms: Sequence["HashAlgorithm"]) -> "ImageHasher":
    from phash_dagster.images.decode import DecodeLimits
    from phash_dagster.images.files import ImageHasher

    # Pillow's remarks on odd files would stand between the lines.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return ImageHasher(algorithms, DecodeLimits())


def _fail(message: str, code: int = 1) -> NoReturn:
    typer.echo(f"phash-dagster: {message}", err=True)
    raise typer.Exit(code)
