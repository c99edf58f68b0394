"""Names and labels as Prometheus users expect them; few values each."""

import re

import pytest

from phash_dagster.metrics.catalogue import CATALOGUE, PREFIX, Description
from phash_dagster.metrics.samples import Samples
from tests.metrics.scraped import scraped

UNITS = ("_seconds", "_bytes", "_info", "_total", "_events")
GAUGES_OF_THINGS = {
    "source_up",
    "images",
    "images_overdue",
    "rules",
    "rule_hashes",
    "actions",
    "quarantined_hashes",
    "backfills_held",
    "circuits_open",
}


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_a_name_has_prefix_and_base_unit(metric: Description) -> None:
    assert re.fullmatch(r"phash_dagster_[a-z_]+", metric.name)
    short = metric.name.removeprefix(PREFIX)
    assert short.endswith(UNITS) or short in GAUGES_OF_THINGS
    assert metric.help.endswith(".")


def test_names_are_different() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)


def test_no_label_has_a_value_for_each_account_post_or_host() -> None:
    labels = {label for metric in CATALOGUE for label in metric.labels}
    assert labels == {
        *("version", "source", "outcome", "algorithm", "rule", "within", "state", "event"),
        *("subject", "lane", "mode", "reason", "by", "service", "to", "kind"),
    }


def test_a_metric_that_is_not_in_the_catalogue_cannot_be_told() -> None:
    with pytest.raises(KeyError):
        Samples().add("no_such_metric", 1)
    with pytest.raises(KeyError, match="has the labels"):
        Samples().add("images", 1, did="did:plc:a")


def test_kind_and_help_are_told() -> None:
    samples = Samples()
    samples.add("images", 2, outcome="hashed")
    samples.add("image_cache_hits_total", 3)
    found = {family.name: family for family in scraped(samples).families}
    assert found["phash_dagster_images"].type == "gauge"
    hits = found["phash_dagster_image_cache_hits"]
    assert (hits.type, hits.documentation) == (
        "counter",
        "References among them for which nothing had to be fetched.",
    )


def test_a_label_that_needs_quoting_comes_back_as_it_was() -> None:
    samples = Samples()
    samples.add("matches_total", 1, rule='a "rule"\\\nof two lines', within="threshold")
    [rule] = scraped(samples).with_labels("matches_total", "rule")
    assert rule == 'a "rule"\\\nof two lines'
