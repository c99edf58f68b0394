"""What must be true at the end of the demo, from the scenario's own knowledge."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from phash_dagster.moderation.actions import State
from phash_dagster.sandbox.pipeline import LocalPipeline
from phash_dagster.sandbox.scenario import Scenario
from phash_dagster.sandbox.server import Sandbox


@dataclass(frozen=True)
class Check:
    """One thing that was expected, and what was found."""

    name: str
    expected: Any
    found: Any

    @property
    def holds(self) -> bool:
        """Whether they are equal."""
        return bool(self.expected == self.found)


def check_live(scenario: Scenario, pipeline: LocalPipeline, sandbox: Sandbox) -> list[Check]:
    """Everything up to the late rule."""
    expected = scenario.expected
    events = _events(sandbox)
    return [
        Check("every image was ingested once", expected.images, _image_rows(pipeline)),
        Check("every image ended in its outcome", expected.outcomes, pipeline.outcomes()),
        Check("every image was fetched at most once", 1, _most_fetches(sandbox)),
        *_match_checks(scenario, pipeline),
        Check("labels at Ozone", expected.labels, _subjects(events, "label")),
        Check("reports at Ozone", expected.reports, _reports(pipeline)),
        Check("no event twice at Ozone", {1}, set(events.values())),
        Check("posts gone before their action", expected.suppressed, _suppressed(pipeline)),
        Check(
            "nothing done to ignored accounts' posts",
            set(),
            expected.ignored & {subject for subject, _, _ in events},
        ),
    ]


def check_late_rule(scenario: Scenario, pipeline: LocalPipeline, sandbox: Sandbox) -> list[Check]:
    """What the backfill found, and that it did no more than record it."""
    late = {
        (action.subject, action.value)
        for action in pipeline.actions()
        if action.lane == "backfill" and action.state is State.SHADOW
    }
    labels = scenario.expected.late_labels
    at_ozone = _subjects(_events(sandbox), "label")
    return [
        Check("the backfill found the earlier posts", labels, late),
        Check("and sent nothing for the past", set(), labels & at_ozone),
    ]


def _match_checks(scenario: Scenario, pipeline: LocalPipeline) -> list[Check]:
    rules = pipeline.rules_in_force()
    if rules is None:
        return [Check("rules in force", True, False)]
    with pipeline.warehouse.read() as connection:
        rows = connection.execute("FROM rule_matches SELECT rule_id, blob_cid, distance").fetchall()
    found: dict[str, set[str]] = {}
    for rule_id, blob_cid, distance in rows:
        rule = rules.rule(rule_id)
        if distance <= rules.threshold(rule):
            found.setdefault(rule.label, set()).add(blob_cid)
    return [
        Check(f"images that “{label}” matches", blobs, found.get(label, set()))
        for label, blobs in scenario.expected.matches.items()
    ]


def _most_fetches(sandbox: Sandbox) -> int:
    return max(sandbox.world.traffic.requests("cdn").values())


def _image_rows(pipeline: LocalPipeline) -> int:
    with pipeline.warehouse.read() as connection:
        pipeline.posts.attach(connection, pipeline.posts.partition_keys())
        [(rows,)] = connection.execute("SELECT count(blob_cid) FROM image_posts").fetchall()
    return int(rows)


def _suppressed(pipeline: LocalPipeline) -> set[str]:
    return {action.source_uri for action in pipeline.actions() if action.state is State.SUPPRESSED}


def _reports(pipeline: LocalPipeline) -> set[tuple[str, str]]:
    return {
        (action.subject, action.value)
        for action in pipeline.actions()
        if action.event == "report" and action.state is State.SENT
    }


def _events(sandbox: Sandbox) -> Counter[tuple[str, str, str]]:
    """(subject, type, label or text) of every event at Ozone but the tags it adds by itself."""
    found: Counter[tuple[str, str, str]] = Counter()
    for event in sandbox.world.moderation.events():
        kind = event.type.rpartition("#modEvent")[2].lower()
        if kind == "tag":
            continue
        for value in event.event.get("createLabelVals") or [event.event.get("comment", "")]:
            found[event.subject.key, kind, value] += 1
    return found


def _subjects(events: Counter[tuple[str, str, str]], kind: str) -> set[tuple[str, str]]:
    return {(subject, value) for subject, found, value in events if found == kind}
