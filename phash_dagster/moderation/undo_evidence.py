"""What the rules in force say about accounts, by all that was ever stored of their posts."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import stamina

from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.decisions import PostMatch, decide
from phash_dagster.moderation.draft import matches_of
from phash_dagster.moderation.exemptions import exempt_accounts
from phash_dagster.moderation.plan import PlanContext
from phash_dagster.moderation.row_filter import RowFilter
from phash_dagster.moderation.subjects import look_up
from phash_dagster.moderation.undo import SupportBy, rules_that_stay, support_by
from phash_dagster.rules import RuleSet, current_version
from phash_dagster.settings import Settings
from phash_dagster.sql import statement
from phash_dagster.warehouse import ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key
from phash_dagster.warehouse.parquet_files import write_table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Evidence:
    """What is stored of some accounts.

    Attributes:
        ruleset: The rules in force; None before any were loaded.
        matches: The matches of the accounts' posts as they stand now, without deleted posts and
            exempt accounts.
        hours: Hours with posts of theirs.
        unmatched_hours: Those of them that were last matched with other rules than those in force.
    """

    ruleset: RuleSet | None = None
    matches: tuple[PostMatch, ...] = ()
    hours: int = 0
    unmatched_hours: int = 0


def gather(dids: Collection[str], settings: Settings) -> Evidence:
    """Read what is stored of these accounts, over all hours.

    The Parquet files are read first: who reads the DuckDB file keeps writers out of it.

    Args:
        dids: DIDs of the accounts.
        settings: Where the data are, and who is exempt.

    Raises:
        WarehouseBusyError: Another process kept the DuckDB file for long.
    """
    warehouse = Warehouse(settings.warehouse_path)
    if not warehouse.path.exists():
        return Evidence()
    rows = _rows_of(dids, ImagePosts(settings.image_posts_dir))
    if not rows.num_rows:
        with warehouse.read() as connection:
            return Evidence(ruleset=current_version(connection))
    with TemporaryDirectory(prefix="phash-dagster-undo-") as folder:
        posts, hours = ImagePosts(Path(folder)), _hours(rows)
        write_table(rows, posts.folder(hours[0]) / "rows.parquet")
        with warehouse.read() as connection:
            matched = dict(connection.execute(statement("matching/partition_versions")).fetchall())
            exempt = exempt_accounts(connection, settings, dids)
            matches = matches_of(connection, posts, hours)
            ruleset = current_version(connection)
        gone = look_up(posts, {match.uri for match in matches}, dids, hours[0]).gone
    version = ruleset.version if ruleset else None
    return Evidence(
        ruleset=ruleset,
        matches=tuple(
            match for match in matches if match.uri not in gone.uris and match.did not in exempt
        ),
        hours=len(hours),
        unmatched_hours=sum(matched.get(hour) != version for hour in hours),
    )


def supported(
    evidence: Evidence,
    which: RowFilter,
    rows: Iterable[Action],
    settings: Settings,
    now: datetime,
) -> SupportBy:
    """Which labels and takedowns rules in force ask for, apart from those that are undone.

    Args:
        evidence: What is stored of the accounts concerned.
        which: What is undone.
        rows: The actions that are.
        settings: The settings of the pipeline.
        now: The current time.
    """
    if evidence.ruleset is None:
        return {}
    ruleset = rules_that_stay(evidence.ruleset, which, rows)
    decisions = decide(evidence.matches, ruleset, now, min_quality=settings.min_image_quality)
    context = PlanContext(
        # What stands in Ozone was sent, whatever the mode is now.
        mode="live",
        lane="live",
        backfill_mode=settings.backfill_mode,
        now=now,
        claim_ttl_days=settings.claim_ttl_days,
        batch_id="",
        run_id="",
    )
    return support_by(decisions, context)


# Files may go while they are read: their hour was compacted. Then look again.
@stamina.retry(on=duckdb.IOException, attempts=5, wait_initial=0.05)
def _rows_of(dids: Collection[str], posts: ImagePosts) -> pa.Table:
    """All that was told of these accounts and their posts."""
    with posts.in_memory(posts.partition_keys()) as connection:
        text, wanted = statement("moderation/account_posts"), {"dids": sorted(dids)}
        return connection.sql(text, params=wanted).to_arrow_table()


def _hours(rows: pa.Table) -> list[str]:
    """The partition keys of the hours that these rows are from, the earliest first."""
    moments = rows["time_us"].unique().to_pylist()
    return sorted({hour_key(_EPOCH + timedelta(microseconds=moment)) for moment in moments})
