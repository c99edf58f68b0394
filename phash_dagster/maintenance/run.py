"""One maintenance of the pipeline's own files, for real or only told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from phash_dagster.ingest import IngestRecords
from phash_dagster.maintenance.expiry import Expiry, Held, expired_hours
from phash_dagster.maintenance.forget import Forgotten, forget_hours, set_aside_hours
from phash_dagster.maintenance.old_files import OldFiles, old_records, old_reports, remove
from phash_dagster.maintenance.reclaim import Reclaimed, Space, reclaim, space
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.settings import Settings
from phash_dagster.warehouse import ImagePosts, Warehouse

Progress = Callable[[str], None]
"""Is told what is done next, in a few words."""


@dataclass(frozen=True)
class Plan:
    """What a maintenance would do. Nothing was changed to find out.

    Attributes:
        expiry: Hours of `image_posts` that would be removed, and those that stay for now.
        set_aside: Hours that an interrupted maintenance left half removed; they are completed.
        records: Old ingest records.
        reports: Old reports.
        space: Of the DuckDB file.
        bytes: Size of the files of the hours to remove.
    """

    expiry: Expiry
    set_aside: list[str]
    records: OldFiles
    reports: OldFiles
    space: Space
    bytes: int


@dataclass(frozen=True)
class Stores:
    """What is maintained."""

    settings: Settings
    warehouse: Warehouse
    posts: ImagePosts
    ingest: IngestRecords


@dataclass(frozen=True)
class Wishes:
    """How a maintenance is done.

    Attributes:
        now: The current time.
        retention_days: Days for which posts are kept; 0: for ever.
        held: Says why an hour is needed by a run.
        others_wait: Whether the pipeline is running.
    """

    now: datetime
    retention_days: float
    held: Held = field(default=lambda _: None)
    others_wait: bool = True


@dataclass(frozen=True)
class Done:
    """What a maintenance did.

    Attributes:
        plan: What it set out to do.
        forgotten: Hours and images that are gone.
        bytes_of_files: Size of the old records and reports that are gone.
        reclaimed: What became of the DuckDB file.
    """

    plan: Plan
    forgotten: Forgotten
    bytes_of_files: int
    reclaimed: Reclaimed


def plan_maintenance(stores: Stores, wishes: Wishes) -> Plan:
    """Say what a maintenance would do now.

    Raises:
        WarehouseBusyError: Another process kept the DuckDB file for long.
        LedgerError: The ledger cannot be read.
    """
    settings = stores.settings
    with Ledger(settings.effective_ledger_url) as ledger:
        expiry = expired_hours(
            stores.posts,
            stores.warehouse,
            ledger,
            now=wishes.now,
            retention_days=wishes.retention_days,
            held=wishes.held,
        )
    return Plan(
        expiry=expiry,
        set_aside=set_aside_hours(stores.posts),
        records=old_records(stores.ingest, expiry.before, wishes.now),
        reports=old_reports(
            settings.reports_dir, now=wishes.now, retention_days=settings.report_retention_days
        ),
        space=space(stores.warehouse),
        bytes=sum(path.stat().st_size for path in stores.posts.files(expiry.hours)),
    )


def maintain(stores: Stores, wishes: Wishes, progress: Progress = lambda _: None) -> Done:
    """Do it. Whatever is interrupted, the next maintenance completes.

    Raises:
        WarehouseBusyError: Another process kept the DuckDB file for long.
        LedgerError: The ledger cannot be read.
        ReclaimError: A copy of the DuckDB file was not what it should be; it was thrown away.
        OSError: A file cannot be written or removed.
    """
    progress("looking for what has expired")
    plan = plan_maintenance(stores, wishes)
    progress(f"removing {len(plan.expiry.hours)} hours of posts")
    forgotten = forget_hours(stores.posts, stores.warehouse, plan.expiry.hours)
    bytes_of_files = plan.records.bytes + plan.reports.bytes
    for old in (plan.records, plan.reports):
        remove(old)
    progress("looking for space in the DuckDB file")
    reclaimed = reclaim(stores.warehouse, others_wait=wishes.others_wait)
    return Done(plan, forgotten, bytes_of_files, reclaimed)
