"""`rules`: the rule files, checked and versioned by their content; and the sensor that reads them
again when they change."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg

from phash_dagster.clock import Clock
from phash_dagster.defs.jobs import load_rules as load_rules_job
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.resources import ClockParam, SettingsParam, WarehouseParam
from phash_dagster.rules import (
    Change,
    Danger,
    LoadedRules,
    Origin,
    RuleProblem,
    RulesError,
    RuleSet,
    are_as_read,
    current_version,
    difference,
    hashes_to_match,
    load_folder,
    read_commit,
    read_rule_file,
    rule_files,
    save_version,
)
from phash_dagster.settings import Settings
from phash_dagster.warehouse import Warehouse

LINT = "rules_lint"
_LONGEST_TABLE = 100
"""Rows of a table in the UI."""


@dg.asset(
    description=(
        "The rule files in RULES_DIR, in force from here on. The version is the hash of their "
        "content. A file with an error changes nothing: this run fails, the check says what is "
        "wrong, and the last good version stays in force. A dangerous hash is set aside: matched "
        "and stored, never acted upon."
    ),
    group_name="rules",
    tags={"contacts": "nobody"},
    kinds={"json", "duckdb"},
    owners=["team:moderation"],
    # The sensor asks once for each change; a busy database must not keep rules out of force.
    retry_policy=dg.RetryPolicy(max_retries=5, delay=10),
    # In the asset itself: a check of its own would not run where the asset fails.
    check_specs=[
        dg.AssetCheckSpec(
            LINT,
            asset="rules",
            description=(
                "Nothing is wrong with the rule files, and nothing dangerous in them. Red with an "
                "error: the last good version stays in force. Red with dangers: the hashes named "
                "are set aside until the rule is mended or allows the danger."
            ),
        )
    ],
)
def rules(
    settings: SettingsParam, warehouse: WarehouseParam, clock: ClockParam
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
    """Load, check and store the rule files."""
    try:
        loaded, origin, before = _put_in_force(settings, warehouse, clock)
    except RulesError as error:
        yield _refused(error)
        raise dg.Failure(
            description=f"The rules stay as they were. {error}",
            metadata={"problems": len(error.problems)},
            allow_retries=False,
        ) from error
    ruleset = loaded.ruleset
    changes = difference(before, ruleset)
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(ruleset.version),
        metadata={
            "rules": len(ruleset.rules),
            "rule_hashes": sum(len(rule.phashes) for rule in ruleset.rules),
            "set_aside": len(ruleset.set_aside),
            "version": ruleset.version,
            "commit": _commit(origin),
            "changes": len(changes),
            "difference": _difference(changes),
            "hashes_to_match": len(hashes_to_match(before, ruleset, settings.match_margin)),
            "overview": _overview(ruleset),
        },
    )
    yield _checked(loaded)


def _put_in_force(
    settings: Settings, warehouse: Warehouse, clock: Clock
) -> tuple[LoadedRules, Origin, RuleSet | None]:
    """Load and store the rule files; also says which rules were in force before."""
    while True:
        loaded = load_folder(settings.rules_dir, settings.phash_hamming_threshold, clock())
        origin = Origin(loaded.files, read_commit(settings.rules_dir))
        with warehouse.write() as connection:
            # The database may have been in use for long, and the run that a later change asked for
            # may have had it first: what it stored must not be replaced by what the files held.
            if are_as_read(settings.rules_dir, loaded.files):
                before = current_version(connection)
                save_version(connection, loaded.ruleset, clock(), origin)
                return loaded, origin, before


def _refused(error: RulesError) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=False,
        check_name=LINT,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"The last good version stays in force. {error.problems[0]}",
        metadata={"problems": len(error.problems), "errors": _table(error.problems)},
    )


def _checked(loaded: LoadedRules) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not loaded.dangers,
        check_name=LINT,
        # Some images that the rules name are not acted upon: a person has to look.
        severity=dg.AssetCheckSeverity.ERROR,
        description=loaded.summary,
        metadata={
            "dangers": len(loaded.dangers),
            "set_aside": len(loaded.ruleset.set_aside),
            "found": _table(loaded.dangers),
        },
    )


def _table(found: Sequence[RuleProblem | Danger]) -> dg.MarkdownMetadataValue:
    """The first of these; `phash-dagster rules lint` shows all."""
    rows = [one.as_row() for one in found[:_LONGEST_TABLE]]
    columns = list(rows[0]) if rows else ["nothing"]
    return markdown_table(
        columns, [["" if cell is None else cell for cell in row.values()] for row in rows]
    )


def _commit(origin: Origin) -> str:
    if origin.commit is None:
        return "not in a git checkout"
    return origin.commit.commit_id + (" and changes" if origin.commit.dirty else "")


def _difference(changes: Sequence[Change]) -> dg.MarkdownMetadataValue:
    """What the rules in force before and now differ in."""
    rows = [(change.rule_id, change.kind, change.what) for change in changes[:_LONGEST_TABLE]]
    return markdown_table(("rule", "change", "what"), rows)


def _overview(ruleset: RuleSet) -> dg.MarkdownMetadataValue:
    aside = Counter(each.rule_id for each in ruleset.set_aside)
    return markdown_table(
        ("order", "rule", "label", "mode", "hashes", "set aside", "threshold"),
        [
            (
                order,
                rule.id,
                rule.label,
                rule.mode,
                len(rule.phashes),
                aside[rule.id],
                ruleset.threshold(rule),
            )
            for order, rule in enumerate(ruleset.rules, start=1)
        ],
    )


@dg.sensor(
    job=load_rules_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Watches the rule files; requests a `load_rules` run when their content changes.",
)
def rules_sensor(
    context: dg.SensorEvaluationContext, settings: SettingsParam
) -> dg.SensorResult | dg.SkipReason:
    """One look at the files."""
    fingerprint = _fingerprint(settings.rules_dir, settings.phash_hamming_threshold)
    if fingerprint == context.cursor:
        return dg.SkipReason("The rule files are unchanged.")
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=fingerprint)


def _fingerprint(folder: Path, default_threshold: int) -> str:
    digest = hashlib.sha256(str(default_threshold).encode())
    for path in rule_files(folder):
        digest.update(path.name.encode() + b"\0" + _content(path) + b"\0")
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    """What the file holds, or why it cannot be read: loading says so in full."""
    try:
        return read_rule_file(path)
    except OSError as error:
        return str(error).encode()


daily_rules = dg.ScheduleDefinition(
    name="daily_rules",
    job=load_rules_job,
    cron_schedule="5 0 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=(
        "Loads the rule files every day at 0:05 UTC, so that the check tells of rules that have "
        "expired. It changes nothing else unless the files changed."
    ),
)
