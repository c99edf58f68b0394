"""`phash-dagster similar`: past images near an image or a hash."""

import re
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Final

import typer

from phash_dagster.commands.shared import (
    errors_as_text,
    is_there,
    moment,
    output,
    progress_line,
    settings_or_exit,
)
from phash_dagster.settings import Settings

if TYPE_CHECKING:
    from phash_dagster.hashing import HashAlgorithm
    from phash_dagster.preview.similar import SimilarImage, Wanted

_NO_HASH = 1
"""Exit code where the image cannot be hashed."""

_HEXADECIMAL: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{8,})")
"""What is meant as a hash, and not as the name of a file, where there is no such file."""

_WORD_BITS: Final = 64
_PDQ_SHARE: Final = 8
"""Wider hashes are looked for within an eighth of their bits, less one: 31 of 256 for PDQ."""


def similar(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|HASH|URL",
            help="An image file, a hash in hexadecimal, an https URL, or an at:// URI of a record "
            "with one image; - reads standard input.",
        ),
    ],
    distance: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="BITS",
            help="Hamming distance up to which images are listed; by default "
            "PHASH_HAMMING_THRESHOLD and MATCH_MARGIN together, for 256 bits 31.",
        ),
    ] = None,
    algorithm: Annotated[str, typer.Option("--algorithm", "-a", metavar="NAME")] = "average",
    since: Annotated[
        str | None,
        typer.Option(help="How far back: 30d, 12h, 2w, or a date. By default all there is."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Images that are listed.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """List past images near an image or a hash: nearest first, then those seen last."""
    from phash_dagster.clock import utc_now
    from phash_dagster.preview.similar import Wanted, find_similar
    from phash_dagster.preview.similar import as_json as to_json

    settings = settings_or_exit()
    beginning = moment(since, utc_now()) if since else None
    made_with = _algorithm(algorithm)
    bits = _usual_distance(made_with, settings) if distance is None else distance
    if bits > made_with.bits:
        raise typer.BadParameter(
            f"hashes by {made_with.name} have {made_with.bits} bits, of which no more can differ",
            param_hint="--distance",
        )
    text = _hash_of(source, made_with, settings)
    wanted = Wanted(text, made_with.name, bits, beginning)
    with errors_as_text(), progress_line() as progress:
        progress("looking for similar images")
        found = find_similar(wanted, settings)
    if as_json:
        typer.echo(to_json(wanted, found[:limit], len(found)))
    else:
        _print(wanted, found, limit)


def _algorithm(name: str) -> "HashAlgorithm":
    from phash_dagster.hashing import get_algorithm

    try:
        return get_algorithm(name)
    except (ValueError, TypeError) as error:
        raise typer.BadParameter(str(error), param_hint="--algorithm") from None


def _usual_distance(algorithm: "HashAlgorithm", settings: Settings) -> int:
    if algorithm.bits > _WORD_BITS:
        return algorithm.bits // _PDQ_SHARE - 1
    return settings.phash_hamming_threshold + settings.match_margin


def _hash_of(source: str, algorithm: "HashAlgorithm", settings: Settings) -> str:
    """The hash that `source` is, or has; else says why there is none and ends the command."""
    from phash_dagster.images.compare import parsed_hash
    from phash_dagster.images.decode import DecodeLimits
    from phash_dagster.images.files import HashedImage, ImageHasher, UnhashedImage
    from phash_dagster.images.sources import hash_all

    if not is_there(source) and (meant := _HEXADECIMAL.fullmatch(source)):
        given = parsed_hash(meant[1], [algorithm])
        if given is None or not given.hashes:
            raise typer.BadParameter(
                f"hashes by {algorithm.name} have {algorithm.bits // 4} hexadecimal digits, this "
                f"one {len(meant[1])}; name the algorithm with --algorithm",
                param_hint="FILE|HASH|URL",
            )
        return given.hashes[0].hash
    # Pillow's remarks on odd files would stand between the lines.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    hasher = ImageHasher([algorithm], DecodeLimits())
    [results] = hash_all([source], hasher, lambda: settings, sys.stdin.buffer)
    for result in results:
        if isinstance(result, UnhashedImage):
            typer.echo(f"phash-dagster: {result.source}: {result.reason}", err=True)
    images = [result for result in results if isinstance(result, HashedImage)]
    if len(images) != 1:
        if len(images) > 1 or not results:
            found = f"{len(images)} images" if images else "no image"
            typer.echo(f"phash-dagster: {source} has {found}; name one image", err=True)
        raise typer.Exit(_NO_HASH)
    return images[0].hashes[0].hash


def _print(wanted: "Wanted", found: "list[SimilarImage]", limit: int) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, right in (
        ("distance", True),
        ("hash", False),
        ("posts", True),
        ("accounts", True),
        ("first seen", False),
        ("last seen", False),
        ("actions", False),
        ("latest post", False),
    ):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for image in found[:limit]:
        table.add_row(
            str(image.distance),
            image.hash,
            str(image.posts),
            str(image.accounts),
            f"{image.first_seen:%Y-%m-%d %H:%M}",
            f"{image.last_seen:%Y-%m-%d %H:%M}",
            escape(_actions(image)),
            escape(image.latest_post),
        )
    period = f" since {wanted.since:%Y-%m-%d %H:%M} UTC" if wanted.since else ""
    typer.echo(
        f"{len(found)} images within {wanted.distance} bits of {wanted.hash} "
        f"({wanted.algorithm}){period}"
    )
    if found:
        output().print(table)
    if len(found) > limit:
        typer.echo(f"{len(found) - limit} more; --limit shows more of them.")


def _actions(image: "SimilarImage") -> str:
    return ", ".join(
        f"{' '.join(filter(None, (each.event, each.value)))}: {each.actions} {each.state}"
        for each in image.actions
    )
