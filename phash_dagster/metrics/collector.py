"""Collects the metrics anew for each answer, in bounded time, whatever a store does."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from phash_dagster import __version__
from phash_dagster.metrics.samples import Samples
from phash_dagster.metrics.sources import Source

READ_SECONDS: Final = 6.0
"""How long a store is waited for. Prometheus waits 10 s for the whole answer by default."""

OnProblem = Callable[[str, str], None]
"""Is told of a store that could not be read: its name, and why."""


@dataclass
class _Reading:
    """One reading of a store, in a thread of its own."""

    source: Source
    samples: Samples | None = None
    problem: str = ""
    seconds: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        # A daemon: a store that never answers keeps no process from ending.
        threading.Thread(target=self._run, name=self.source.name, daemon=True).start()

    def _run(self) -> None:
        start = time.monotonic()
        try:
            self.samples = self.source.read()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other stores are told of
            self.problem = str(error) or type(error).__name__
        self.seconds = time.monotonic() - start
        self.done.set()


class PipelineCollector(Collector):
    """The metrics of a pipeline, for a registry of prometheus_client.

    All stores are read at once. One that does not answer in time, or cannot be read, is named by
    `source_up`, and the others are told of. While it is still being read it is not read again, so
    that scrapes of a store that hangs pile up no threads.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        seconds: float = READ_SECONDS,
        on_problem: OnProblem = lambda _name, _why: None,
    ) -> None:
        self._sources = sources
        self._seconds = seconds
        self._on_problem = on_problem
        self._lock = threading.Lock()
        self._under_way: dict[str, _Reading] = {}

    def collect(self) -> Iterator[Metric]:
        """Read the stores and give the metrics that they have."""
        samples = Samples()
        samples.add("build_info", 1, version=__version__)
        start = time.monotonic()
        readings = [self._reading(source) for source in self._sources]
        for reading in readings:
            left = start + self._seconds - time.monotonic()
            if not reading.done.wait(max(left, 0.0)):
                reading = _Reading(
                    reading.source,
                    problem=f"not read within {self._seconds:g} s",
                    seconds=time.monotonic() - start,
                )
            self._add(samples, reading)
        return samples.families()

    def _add(self, samples: Samples, reading: _Reading) -> None:
        name = reading.source.name
        samples.add("source_up", int(reading.samples is not None), source=name)
        samples.add("source_read_seconds", reading.seconds, source=name)
        if reading.samples is None:
            self._on_problem(name, reading.problem)
        else:
            samples.update(reading.samples)

    def _reading(self, source: Source) -> _Reading:
        """A reading that has just begun, or the one that never ended."""
        with self._lock:
            before = self._under_way.get(source.name)
            if before is not None and not before.done.is_set():
                return before
            reading = self._under_way[source.name] = _Reading(source)
            reading.start()
            return reading


def registry_of(collector: Collector) -> CollectorRegistry:
    """A registry with nothing but this: the figures of the Python process would mislead, since the
    pipeline is other processes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry
