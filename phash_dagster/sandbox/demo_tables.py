"""The tables that the demo shows."""

from rich.table import Table

from phash_dagster.moderation.plan_hours import repeats_left_out
from phash_dagster.reports.data import MatchReport
from phash_dagster.sandbox.pipeline import LocalPipeline


def outcomes_table(report: MatchReport) -> Table:
    """How the images ended."""
    table = _table("How the images ended", "Outcome", "Images")
    for outcome, images in report.reading.outcomes.items():
        table.add_row(outcome, str(images))
    return table


def matches_table(report: MatchReport) -> Table:
    """What each rule matched."""
    table = _table("Matches by rule", "Rule", "Posts", "Images", "Accounts", "Distances")
    for row in report.acting.matches:
        table.add_row(
            row["rule_id"],
            *(str(row[name]) for name in ("posts", "images", "accounts")),
            f"{row['nearest']} to {row['farthest']}" if row["posts"] else "",
        )
    return table


def actions_table(report: MatchReport, pipeline: LocalPipeline) -> Table:
    """What was done, and how many repeats were left out."""
    table = _table("Actions", "Rule", "Event", "State", "Actions")
    for row in report.acting.actions:
        table.add_row(
            row["rule_id"], f"{row['event']} {row['value']}", row["state"], str(row["actions"])
        )
    prevented = repeats_left_out(pipeline.warehouse, pipeline.posts, pipeline.settings)
    table.caption = f"{prevented} duplicates prevented: the same event on the same subject"
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 or column in _WORDS else "right")
    return table


_WORDS = {"Event", "State", "Distances"}
