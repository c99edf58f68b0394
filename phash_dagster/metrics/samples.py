"""Values of metrics, before they are written down."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from phash_dagster.metrics.catalogue import BY_NAME, CATALOGUE, PREFIX, Description

_Key = tuple[str, tuple[str, ...]]


class Samples:
    """Values by metric and labels. The names are those of the catalogue, without prefix."""

    def __init__(self) -> None:
        self._values: dict[_Key, float] = {}

    def add(self, metric: str, value: float, /, **labels: str) -> None:
        """Add to a value.

        Raises:
            KeyError: There is no such metric, or it has other labels.
        """
        description = BY_NAME[PREFIX + metric]
        if set(labels) != set(description.labels):
            raise KeyError(f"{metric} has the labels {description.labels}, not {sorted(labels)}")
        key = (description.name, tuple(labels[name] for name in description.labels))
        self._values[key] = self._values.get(key, 0.0) + value

    def update(self, others: "Samples") -> None:
        """Add all values of others."""
        for key, value in others.values().items():
            self._values[key] = self._values.get(key, 0.0) + value

    def values(self) -> Mapping[tuple[str, tuple[str, ...]], float]:
        """The values by name of the metric and values of its labels."""
        return self._values

    def families(self) -> Iterator[Metric]:
        """The metrics that have values, in the order of the catalogue."""
        by_name: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for (name, labels), value in sorted(self._values.items()):
            by_name.setdefault(name, []).append((labels, value))
        for description in CATALOGUE:
            if description.name in by_name:
                yield _family(description, by_name[description.name])


_COUNTER: Final = "_total"


def _family(description: Description, values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family: CounterMetricFamily | GaugeMetricFamily
    if description.is_counter:
        name = description.name.removesuffix(_COUNTER)
        family = CounterMetricFamily(name, description.help, labels=description.labels)
    else:
        family = GaugeMetricFamily(description.name, description.help, labels=description.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family
