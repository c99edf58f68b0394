"""When posts reached each stage of the pipeline, read off what it leaves behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq
from dagster import DagsterEventType, DagsterInstance
from rich.table import Table

from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox.identifiers import microseconds
from phash_dagster.sandbox.pipeline import LocalPipeline


@dataclass(frozen=True)
class Journey:
    """When each stage of one post was reached, unix seconds."""

    times: Mapping[str, float]

    def seconds(self, first: str, last: str) -> float | None:
        """Time between two stages; None if one is not known."""
        if first not in self.times or last not in self.times:
            return None
        return self.times[last] - self.times[first]


RUN_EVENTS = {
    DagsterEventType.RUN_ENQUEUED: "run requested",
    DagsterEventType.RUN_STARTING: "run launched",
    DagsterEventType.RUN_START: "run started",
}
STEP_EVENTS = {
    DagsterEventType.STEP_START: "started",
    DagsterEventType.STEP_SUCCESS: "done",
}


def run_times(instance: DagsterInstance, run_id: str) -> dict[str, float]:
    """When a run was requested, started, and came through each of its steps."""
    times: dict[str, float] = {}
    for entry in instance.all_logs(run_id, of_type={*RUN_EVENTS, *STEP_EVENTS}):
        event = entry.dagster_event
        if event is None:
            continue
        name = RUN_EVENTS.get(event.event_type)
        if event.event_type in STEP_EVENTS:
            step = str(event.step_key).rpartition(".")[2]
            name = f"{step} {STEP_EVENTS[event.event_type]}"
        times[str(name)] = entry.timestamp
    return times


def durable_at(pipeline: LocalPipeline) -> dict[str, float]:
    """When the Parquet file of each post with images got its name, by AT URI."""
    found: dict[str, float] = {}
    for path in pipeline.posts.files(pipeline.posts.partition_keys()):
        # Renaming a file sets its change time.
        changed = path.stat().st_ctime
        for uri in pq.read_table(path, columns=["uri"]).column("uri").to_pylist():
            found[uri] = min(changed, found.get(uri, changed))
    return found


def hashed_at(pipeline: LocalPipeline) -> dict[str, float]:
    """When each image got its hash row, by CID."""
    with pipeline.warehouse.read() as connection:
        return dict(
            connection.execute(
                "FROM image_hashes SELECT blob_cid, epoch(hashed_at) WHERE algorithm = 'average'"
            ).fetchall()
        )


def journeys(
    pipeline: LocalPipeline, sandbox: Sandbox, published: Mapping[str, float]
) -> list[Journey]:
    """The stages of posts that were acted on by one label, and when they were published."""
    durable, hashed = durable_at(pipeline), hashed_at(pipeline)
    sent = {
        event.subject.key: microseconds(event.created_at) / 1e6
        for event in sandbox.world.moderation.events()
        if event.type.endswith("#modEventLabel")
    }
    actions = {action.subject: action for action in pipeline.actions() if action.lane == "live"}
    found = []
    with DagsterInstance.from_config(pipeline.environment["DAGSTER_HOME"]) as instance:
        runs = {
            run_id: run_times(instance, run_id)
            for run_id in {action.run_id for action in actions.values()}
        }
    for uri, moment in published.items():
        times = {"published": moment}
        if uri in durable:
            times["durable"] = durable[uri]
        if uri in sent:
            times["sent"] = sent[uri]
        if action := actions.get(uri):
            times |= runs[action.run_id]
            times["hashed"] = hashed[action.blob_cids[0]]
            if times["hashed"] < times.get("run started", 0):
                # Hashed by one run and planned by the next: not told apart below.
                times = {name: times[name] for name in ("published", "durable", "hashed", "sent")}
        found.append(Journey(times))
    return found


STAGES = [
    ("durable in a Parquet file", "published", "durable"),
    ("first hash row", "published", "hashed"),
    ("action sent at Ozone", "published", "sent"),
]
PARTS = [
    ("the tick that reads it ends and writes its file", "published", "durable"),
    ("Dagster stores the tick, the run is queued", "durable", "run requested"),
    ("the run is taken from the queue", "run requested", "run launched"),
    ("the process starts and imports", "run launched", "run started"),
    ("image_hashes starts", "run started", "image_hashes started"),
    ("the hash row", "image_hashes started", "hashed"),
    ("image_hashes ends", "hashed", "image_hashes done"),
    ("rule_matches starts", "image_hashes done", "rule_matches started"),
    ("rule_matches ends", "rule_matches started", "rule_matches done"),
    ("plan_actions starts", "rule_matches done", "plan_actions started"),
    ("plan_actions ends", "plan_actions started", "plan_actions done"),
    ("emit_ozone_events starts", "plan_actions done", "emit_ozone_events started"),
    ("Ozone has the event", "emit_ozone_events started", "sent"),
]


def percentile(values: Sequence[float], fraction: float) -> float:
    """The smallest value that so many of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def table(title: str, rows: Sequence[tuple[str, str, str]], found: Sequence[Journey]) -> Table:
    """Median, 95th percentile and largest of each stage, in seconds."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("stage")
    for name in ("posts", "median s", "p95 s", "max s"):
        shown.add_column(name, justify="right")
    for name, first, last in rows:
        values = [value for journey in found if (value := journey.seconds(first, last)) is not None]
        if values:
            figures = (percentile(values, 0.5), percentile(values, 0.95), max(values))
            shown.add_row(name, str(len(values)), *(f"{value:.2f}" for value in figures))
    return shown
