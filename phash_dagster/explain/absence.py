"""Why something that is asked about is not there: where was looked, and what may be the cause."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from phash_dagster.explain.archive import Archive, written_at
from phash_dagster.explain.parts import Searched
from phash_dagster.explain.words import moment
from phash_dagster.ingest import IngestRecords
from phash_dagster.ingest.questions import stream_gaps
from phash_dagster.settings import Settings
from phash_dagster.warehouse.image_posts import moment_of

_NO_EVENTS: Final = "no events were read yet"
_NOT_KEPT: Final = "it has no image (only records with images are kept)"
_WRONG: Final = "the address is wrong or of another network"


def of_record(
    uri: str, archive: Archive, ingest: IngestRecords, settings: Settings, now: datetime
) -> Searched:
    """Where a record was looked for, and why it may not be there; what is certain comes first."""
    collection, _, rkey = uri.removeprefix("at://").partition("/")[2].partition("/")
    certain = list(_certain(collection, written_at(rkey, now), archive, ingest, settings))
    return _searched(archive, certain or [_NOT_KEPT, _WRONG], certain=bool(certain))


def of_anything(archive: Archive, settings: Settings) -> Searched:
    """The same for an account or an image."""
    if not archive.hours:
        return _searched(archive, [_NO_EVENTS], certain=True)
    kept = f", and hours are kept for {settings.retention_days} days (RETENTION_DAYS)"
    reasons = [
        f"it posted no image, or was not posted, since {moment(moment_of(archive.hours[0]))}"
        + (kept if settings.retention_days else ""),
        f"only in records of other collections than {', '.join(settings.wanted_collections)} "
        "(WANTED_COLLECTIONS)",
    ]
    return _searched(archive, reasons, certain=False)


def because(searched: Searched) -> str:
    """The last line about what was not found."""
    if searched.certain:
        return f"Nothing was done because nothing of it was seen: {'; '.join(searched.reasons)}."
    causes = ", or ".join(searched.reasons)
    return f"Nothing was done because nothing of it was seen; perhaps {causes}."


def _searched(archive: Archive, reasons: Sequence[str], *, certain: bool) -> Searched:
    return Searched(
        hours=len(archive.hours),
        first_hour=archive.hours[0] if archive.hours else None,
        last_hour=archive.hours[-1] if archive.hours else None,
        reasons=reasons,
        certain=certain,
    )


def _certain(
    collection: str,
    written: datetime | None,
    archive: Archive,
    ingest: IngestRecords,
    settings: Settings,
) -> Iterator[str]:
    """What is known to keep the record away."""
    if not archive.hours:
        yield _NO_EVENTS
        return
    if collection not in settings.wanted_collections:
        wanted = ", ".join(settings.wanted_collections)
        yield f"records of {collection} are not read (WANTED_COLLECTIONS is {wanted})"
    if written is None:
        return
    first = moment_of(archive.hours[0])
    if written < first:
        kept = f"; hours are kept for {settings.retention_days} days (RETENTION_DAYS)"
        yield (
            f"by its key it is from {moment(written)}, before the first events that are there, "
            f"of {moment(first)}{kept if settings.retention_days else ''}"
        )
    newest = archive.newest_event()
    if newest and written > newest:
        yield (
            f"by its key it is from {moment(written)}, and events were read until "
            f"{moment(newest)} only"
        )
    if not ingest.files(since=written):
        return
    with ingest.query(since=written) as connection:
        gaps = stream_gaps(connection)
    for gap in gaps:
        if gap.from_time <= written <= gap.to_time:
            yield (
                f"by its key it is from {moment(written)}, and events between "
                f"{moment(gap.from_time)} and {moment(gap.to_time)} are missing: {gap.reason}"
            )
