"""Every metric: its name, kind, meaning and labels. docs/monitoring.md shows this table.

Labels have few values each; at most there is one per rule, never one per account, post or host.
Counters may begin anew only when their store is replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "phash_dagster_"

Store = Literal["warehouse", "ledger", "ingest", "none"]


@dataclass(frozen=True)
class Description:
    """What a metric tells.

    Attributes:
        name: With prefix and unit; that of a counter ends with `_total`.
        help: One sentence.
        labels: Names of its labels.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def is_counter(self) -> bool:
        """Whether it grows only; others are gauges."""
        return self.name.endswith("_total")


def _named(name: str, text: str, *labels: str) -> Description:
    return Description(PREFIX + name, text, labels)


CATALOGUE: Final[Sequence[Description]] = (
    _named("build_info", "Always 1; the label tells the release.", "version"),
    _named(
        "source_up",
        "1 if the store could be read for this answer, else 0 and its metrics are missing.",
        "source",
    ),
    _named("source_read_seconds", "How long reading the store took, or was waited for.", "source"),
    # Ingestion
    _named("ingest_lag_seconds", "Age of the position in Jetstream up to which events were read."),
    _named("ingest_last_batch_timestamp_seconds", "When the last batch with events ended."),
    _named("ingest_behind_events", "Events the host had beyond the last batch, if it says so."),
    _named("ingest_batches_total", "Batches of events that were read and counted."),
    _named("ingest_events_total", "Events read from Jetstream, of every kind."),
    _named("ingest_posts_total", "Records of wanted collections among them."),
    _named("ingest_images_total", "Images in these records: the work that arrives."),
    _named("ingest_malformed_frames_total", "Frames from Jetstream that were no events."),
    _named("ingest_anomalies_total", "Things in events that were not understood or not taken."),
    _named("ingest_gaps_total", "Times when a Jetstream host no longer had events."),
    _named("ingest_gap_seconds_total", "Length of these gaps."),
    # Images
    _named("image_references_total", "Images in records of hours that a run has gone through."),
    _named("image_cache_hits_total", "References among them for which nothing had to be fetched."),
    _named("image_cache_misses_total", "Images first asked for with an author, having no hash."),
    _named("image_attempts_total", "Attempts to hash an image, by how they ended.", "outcome"),
    _named("images_fetched_total", "Attempts that got the image's bytes, by where from.", "source"),
    _named("image_hashes_total", "Hashes taken.", "algorithm"),
    _named("images", "Images known now, by how they stand.", "outcome"),
    _named("images_overdue", "Images whose next attempt was due over an hour ago."),
    # Rules and matches
    _named("matches_total", "Pairs of image and rule hash that were new.", "rule", "within"),
    _named("rules", "Rules in force."),
    _named("rule_hashes", "Hashes to look for that are in force: active or set_aside.", "state"),
    _named("rule_loads_total", "Times that rules came into force."),
    _named("rules_loaded_timestamp_seconds", "When rules last came into force."),
    # Actions
    _named(
        "actions_recorded_total",
        "Actions written to the ledger, sent or not.",
        "event",
        "subject",
        "lane",
        "mode",
    ),
    _named(
        "actions_sent_total",
        "Actions that Ozone has: posts and accounts labelled, reported and so on.",
        "event",
        "subject",
        "lane",
        "rule",
    ),
    _named(
        "actions_skipped_total",
        "Not sent since it was done: claimed by another action, or already_so in Ozone.",
        "event",
        "subject",
        "reason",
    ),
    _named("actions", "Actions in the ledger by state and lane.", "state", "lane"),
    _named("oldest_action_timestamp_seconds", "When the oldest waiting one was planned.", "state"),
    _named("action_outcomes_total", "What became of sent actions in Ozone.", "outcome", "by"),
    _named("quarantined_hashes", "Rule hashes whose actions are held since they were flooded."),
    _named("backfills_held", "Backfills that wait for a person."),
    # Breakers
    _named("circuit_transitions_total", "Circuit breakers that changed.", "service", "to"),
    _named("circuit_rejections_total", "Requests or runs turned away by one.", "service"),
    _named("circuits_open", "Hosts that are left alone now.", "service"),
    _named("ozone_pauses_total", "Times when sending paused: outage, limit or settings.", "kind"),
    # Storage
    _named("warehouse_size_bytes", "Size of the DuckDB file."),
)

BY_NAME: Final = {each.name: each for each in CATALOGUE}
