"""Reads metrics as Prometheus does."""

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from phash_dagster.metrics.catalogue import BY_NAME, PREFIX
from phash_dagster.metrics.collector import registry_of
from phash_dagster.metrics.samples import Samples


class Scraped:
    """Values by name, without prefix, and labels."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self._values = {
            (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        assert PREFIX + name in BY_NAME
        return self._values.get((name, tuple(sorted(labels.items()))))

    def with_labels(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric by one of its labels; those that are 0 left out."""
        found: dict[str, float] = {}
        for (other, labels), value in self._values.items():
            if other == name and value:
                key = dict(labels)[label]
                found[key] = found.get(key, 0.0) + value
        return found

    @property
    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        return {key: value for key, value in self._values.items() if key[0].endswith("_total")}


def scraped(samples: Samples) -> Scraped:
    """What Prometheus would make of these values."""
    return scrape(_Given(samples))


def scrape(collector: Collector) -> Scraped:
    return Scraped(generate_latest(registry_of(collector)).decode())


class _Given(Collector):
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collect(self) -> list[Metric]:
        return list(self._samples.families())
