"""Tries rules on the past and says what they find and what would be done."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from phash_dagster.moderation.actions import State
from phash_dagster.moderation.decisions import Decision
from phash_dagster.moderation.subjects import LOOK_BACK
from phash_dagster.preview.actions import counted
from phash_dagster.preview.candidate import Candidate
from phash_dagster.preview.figures import figures
from phash_dagster.preview.ledger_rows import rows_of
from phash_dagster.preview.model import Preview
from phash_dagster.preview.sources import (
    Period,
    StoredValues,
    take_images,
    take_posts,
    take_values,
)
from phash_dagster.preview.trial import Trial
from phash_dagster.rules import RuleSet
from phash_dagster.settings import Settings
from phash_dagster.warehouse import ImagePosts, Warehouse
from phash_dagster.warehouse.image_posts import hour_key

POPULAR_ACCOUNTS: Final = 20
"""Accounts whose images share a hash value that make it a popular image."""

Progress = Callable[[str], None]
"""Is told what is done next, in a few words."""


def preview_rules(
    candidate: Candidate,
    *,
    settings: Settings,
    since: datetime,
    now: datetime,
    popular_accounts: int = POPULAR_ACCOUNTS,
    progress: Progress = lambda _: None,
) -> Preview:
    """Say what these rules would find and do in the period from `since`, a full hour, until now.

    Nothing of the pipeline's is written. The DuckDB file is open for moments only.

    Args:
        candidate: The rules.
        settings: Where the data are, and in which mode actions would be.
        since: Beginning of the period.
        now: The current time, which rules would be put in force at.
        popular_accounts: Accounts that make an image popular.
        progress: Is told what is done next.

    Raises:
        WarehouseBusyError: Another process kept the DuckDB file for long.
        LedgerError: The ledger cannot be read.
    """
    since = since.replace(minute=0, second=0, microsecond=0)
    with TemporaryDirectory(prefix="phash-dagster-preview-") as folder:
        trial = Trial(Path(folder), settings, now)
        stored, image_posts = _fill(trial, candidate.loaded.ruleset, settings, since, progress)
        progress("planning what would be done")
        trial.put_in_force(candidate.loaded.ruleset)
        found = trial.findings(candidate.loaded.ruleset)
        dids = {decision.did for decision in found.decisions}
        recorded = trial.plan(rows_of(settings.effective_ledger_url, dids))
        progress("counting")
        decided_now = _decisions_in_force(trial, stored.ruleset)
        rules = figures(trial, candidate, found, decided_now, popular_accounts)
    return Preview(
        made_at=now,
        since=since,
        hours=len(trial.hours),
        image_posts=image_posts,
        compared={name: table.num_rows for name, table in stored.by_algorithm.items()},
        margin=settings.match_margin,
        min_quality=settings.min_image_quality,
        popular_accounts=popular_accounts,
        version=candidate.loaded.ruleset.version,
        version_in_force=stored.ruleset.version if stored.ruleset else None,
        sources=candidate.loaded.ruleset.sources,
        rules=tuple(
            replace(rule, actions=counted(rule, found.decisions, recorded, settings, trial.context))
            for rule in rules
        ),
        dangers=tuple(
            danger for danger in candidate.loaded.dangers if danger.rule_id in candidate.rule_ids
        ),
        other_rules=len(candidate.loaded.ruleset.rules) - len(candidate.rule_ids),
        other_actions=sum(
            action.rule_id not in candidate.rule_ids and action.state is not State.SUPPRESSED
            for action in recorded
        ),
        recorded=tuple(recorded),
    )


def _decisions_in_force(trial: Trial, ruleset: RuleSet | None) -> Sequence[Decision]:
    """What the rules in force decide about the posts of the trial."""
    if ruleset is None:
        return ()
    trial.put_in_force(ruleset)
    return trial.findings(ruleset).decisions


def _fill(
    trial: Trial, ruleset: RuleSet, settings: Settings, since: datetime, progress: Progress
) -> tuple[StoredValues, int]:
    """Copy into the trial what concerns the rules."""
    warehouse, posts = Warehouse(settings.warehouse_path), ImagePosts(settings.image_posts_dir)
    progress("reading hashes")
    bits = {rule.algorithm: len(text) * 4 for rule in ruleset.rules for text in rule.phashes}
    stored = take_values(warehouse, bits)
    if stored.exempt is not None:
        trial.add_exempt(stored.exempt)
    if stored.in_force is not None:
        trial.add_in_force(stored.in_force)
    progress("comparing hashes with the rules")
    near = trial.near_values(stored.by_algorithm, ruleset)
    keys = posts.partition_keys()
    trial.hours = [key for key in keys if key >= hour_key(since)]
    if not warehouse.path.exists():
        return stored, 0
    images = take_images(warehouse, near)
    trial.add_images(images)
    progress("reading posts")
    told_by = [key for key in keys if key >= hour_key(since - LOOK_BACK)]
    return stored, take_posts(posts, Period(trial.hours, told_by), images, trial.posts)
