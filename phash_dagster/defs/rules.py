"""`rules`: the rule files, checked and versioned by their content; and the sensor that reads them
again when they change."""

import hashlib
from pathlib import Path

import dagster as dg

from phash_dagster.defs.jobs import load_rules as load_rules_job
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.resources import ClockParam, SettingsParam, WarehouseParam
from phash_dagster.rules import RulesError, RuleSet, load_rules, rule_files, save_version


@dg.asset(
    description=(
        "The rule files in RULES_DIR, in force from here on. The version is the hash of their "
        "content. A file with an error changes nothing: this run fails, says what is wrong, and "
        "the last good version stays in force."
    ),
    group_name="rules",
    kinds={"json", "duckdb"},
    owners=["team:moderation"],
    # The sensor asks once for each change; a busy database must not keep rules out of force.
    retry_policy=dg.RetryPolicy(max_retries=5, delay=10),
)
def rules(
    settings: SettingsParam, warehouse: WarehouseParam, clock: ClockParam
) -> dg.MaterializeResult[None]:
    """Load, check and store the rule files."""
    try:
        ruleset = load_rules(settings.rules_dir, settings.phash_hamming_threshold)
    except RulesError as error:
        raise dg.Failure(
            description=f"The rules stay as they were. {error}",
            metadata={"problems": len(error.problems)},
            allow_retries=False,
        ) from error
    with warehouse.write() as connection:
        save_version(connection, ruleset, loaded_at=clock())
    return dg.MaterializeResult(
        data_version=dg.DataVersion(ruleset.version),
        metadata={
            "rules": len(ruleset.rules),
            "rule_hashes": sum(len(rule.phashes) for rule in ruleset.rules),
            "version": ruleset.version,
            "overview": _overview(ruleset),
        },
    )


def _overview(ruleset: RuleSet) -> dg.MarkdownMetadataValue:
    return markdown_table(
        ("order", "rule", "label", "mode", "hashes", "threshold"),
        [
            (
                order,
                rule.id,
                rule.label,
                rule.mode,
                len(rule.phashes),
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
        return path.read_bytes()
    except OSError as error:
        return str(error).encode()
