"""`preview_rules`: what rules would find and do in the past, asked from the Dagster UI."""

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from phash_dagster.defs.jobs import IN_PROCESS
from phash_dagster.defs.resources import ClockParam, SettingsParam
from phash_dagster.settings import Settings

if TYPE_CHECKING:
    from phash_dagster.preview.candidate import Candidate


class PreviewConfig(dg.Config):
    """Which rules, and how far back."""

    path: str = Field(
        "",
        description="A rule file, tried as if it were saved in RULES_DIR; or a folder, tried in "
        "its place. Empty: RULES_DIR as it is.",
    )
    rules_json: str = Field(
        "", description="The text of a rule file, in the place of `path`; takes part as new.json."
    )
    days: int = Field(30, ge=1, description="Days to look back.")


@dg.op(
    out=dg.Out(dg.Nothing),
    description=(
        "Tries rules on the past and writes a page about it under DATA_DIR/reports. Nothing else "
        "is written, and nothing is sent."
    ),
)
def try_rules(
    context: dg.OpExecutionContext,
    config: PreviewConfig,
    settings: SettingsParam,
    clock: ClockParam,
) -> None:
    """Preview the rules that the configuration names."""
    from phash_dagster.preview.render import actions_with, render_markdown, write_html
    from phash_dagster.preview.run import preview_rules

    now = clock()
    found = preview_rules(
        _candidate(config, settings, now),
        settings=settings,
        since=now - timedelta(days=config.days),
        now=now,
        progress=context.log.info,
    )
    settings.reports_dir.mkdir(parents=True, exist_ok=True)
    page = settings.reports_dir / f"preview-{now:%Y-%m-%d-%H%M%S}-{found.version[:12]}.html"
    write_html(found, page, ozone_url=settings.ozone_url)
    context.add_output_metadata(
        {
            "page": dg.MetadataValue.path(page),
            "summary": dg.MetadataValue.md(render_markdown(found)),
            "rules_version": found.version,
            "posts_decided": sum(rule.decided.posts for rule in found.rules),
            "would_be_sent": actions_with(found, "sent"),
            "dangers": len(found.dangers),
        }
    )


def _candidate(config: PreviewConfig, settings: Settings, now: datetime) -> "Candidate":
    from phash_dagster.preview.candidate import load_candidate
    from phash_dagster.rules import RulesError

    if config.path and config.rules_json:
        raise dg.Failure("give `path` or `rules_json`, not both", allow_retries=False)
    with TemporaryDirectory(prefix="phash-dagster-rules-") as folder:
        path = Path(config.path) if config.path else None
        if config.rules_json:
            path = Path(folder, "new.json")
            path.write_text(config.rules_json, encoding="utf-8")
        try:
            return load_candidate(path, settings, now)
        except RulesError as error:
            raise dg.Failure(str(error), allow_retries=False) from None


@dg.job(
    executor_def=IN_PROCESS,
    description=(
        "Try rules before they are in force: what they would find in the past, and what would be "
        "done. Launch it with a folder, a file, or the text of one."
    ),
)
def preview_rules() -> None:
    """The one step."""
    try_rules()
