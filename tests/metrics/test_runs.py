"""What real runs count, scraped from the stores and held against what was published.

The other tests call what counts; here the sensor and the jobs have to.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import dagster as dg
import pytest

from phash_dagster.clock import utc_now
from phash_dagster.defs.jetstream_sensor import jetstream_sensor
from phash_dagster.defs.tags import PARTITION
from phash_dagster.ingest import IngestRecords
from phash_dagster.jetstream import Cursor
from phash_dagster.metrics.collector import PipelineCollector
from phash_dagster.metrics.sources import sources_of
from phash_dagster.sandbox import Failure, Sandbox, records
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.identifiers import blob_cid
from phash_dagster.sandbox.moderation_input import Subject
from phash_dagster.sandbox.world import Post
from tests.defs.small_stack import SmallStack
from tests.metrics.scraped import Scraped, scrape
from tests.pipeline.conftest import rule

pytestmark = pytest.mark.slow

KNOWN, OTHER = pictures.photo(1), pictures.photo(2)
MISSING: Final = 3
"""Images that no host has: as many as a PDS may fail on before it is left alone."""

SETTINGS: Final = {
    "MODERATION_MODE": "live",
    "MICROBATCH_SECONDS": "0.5",
    "RATE_LIMIT_MS": "0",
    "RETRY_ATTEMPTS": "1",
}


class Network:
    """A sandbox, and the pipeline that reads it by a tick and its runs at a time."""

    def __init__(self, sandbox: Sandbox, stack: SmallStack) -> None:
        self.world = sandbox.world
        self.stack = stack
        self.images = self.posts = 0
        self._cursor = Cursor(1).to_json()

    def post(self, author: str, *files: bytes) -> Post:
        account = self.world.repositories.find(author) or self.world.create_account(author)
        self.posts += 1
        self.images += len(files)
        return self.world.publish_post(account, files)

    def post_missing(self, number: int) -> None:
        """A post whose image was never uploaded."""
        image = records.blob(blob_cid(f"missing {number}".encode()), "image/jpeg", 9)
        record = records.post("", "2026-11-23T19:30:00.000Z", records.embed_of("images", [image]))
        self.posts += 1
        self.images += 1
        self.world.publish_record(self.world.create_account(f"m{number}.test"), record)

    def run(self) -> None:
        """What a tick brings, and the run of each hour that it asks for."""
        settings = self.stack.settings
        ticked = jetstream_sensor(
            dg.build_sensor_context(instance=self.stack.instance, cursor=self._cursor),
            settings=settings,
            posts=self.stack.posts,
            ingest=IngestRecords.under(settings.data_dir),
            clock=utc_now,
        )
        assert isinstance(ticked, dg.SensorResult)
        assert ticked.cursor
        self._cursor = ticked.cursor
        for request in ticked.run_requests or []:
            tags = {**request.tags, PARTITION: str(request.partition_key)}
            assert self.stack.run("moderate_hour", tags).success

    def scrape(self) -> Scraped:
        return scrape(PipelineCollector(sources_of(self.stack.settings, utc_now)))


class Told(NamedTuple):
    """The network after its last run, and what Prometheus is told then."""

    network: Network
    metrics: Scraped


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Two ticks and their runs; the second brings posts of an image that the first has hashed."""
    with (
        Sandbox() as sandbox,
        dg.DagsterInstance.ephemeral() as instance,
        pytest.MonkeyPatch.context() as patch,
    ):
        variables = {**sandbox.settings_environment(), **SETTINGS}
        stack = SmallStack(instance, tmp_path_factory.mktemp("runs"), patch, **variables)
        flags = {"toLabel": True, "reportAcct": True}
        stack.write({"blobs.json": [{**rule(KNOWN, "bad", **flags), "id": "meme"}]})
        assert stack.load()
        network = Network(sandbox, stack)
        known, other = pictures.encode(KNOWN), pictures.encode(OTHER)
        network.post("first.test", known, other)
        for number in range(MISSING):
            network.post_missing(number)
        sandbox.world.fail_next("pds", 2 * MISSING, Failure(503, matching="getBlob"))
        network.run()
        network.post("first.test", known)
        labelled = network.post("second.test", known)
        subject = Subject(labelled.did, labelled.uri, labelled.cid)
        sandbox.world.moderation.labels.put(subject, "bad", utc_now())
        network.run()
        yield Told(network, network.scrape())


def test_every_store_was_read(told: Told) -> None:
    assert set(told.metrics.with_labels("source_up", "source").values()) == {1}


def test_what_the_sensor_brought_is_counted(told: Told) -> None:
    network, found = told
    names = ("batches", "events", "posts", "images")
    assert [found.value(f"ingest_{name}_total") for name in names] == [
        2,
        len(network.world.events),
        network.posts,
        network.images,
    ]


def test_attempts_are_counted_by_how_they_ended(told: Told) -> None:
    expected = {"hashed": 2, "waiting": MISSING}
    assert told.metrics.with_labels("image_attempts_total", "outcome") == expected


def test_what_was_fetched_and_hashed_is_counted(told: Told) -> None:
    assert told.metrics.with_labels("images_fetched_total", "source") == {"cdn": 2}
    assert told.metrics.with_labels("image_hashes_total", "algorithm") == {"average": 2}


def test_a_later_post_of_the_same_image_is_a_cache_hit(told: Told) -> None:
    names = ("references_total", "cache_hits_total", "cache_misses_total")
    assert [told.metrics.value(f"image_{name}") for name in names] == [
        told.network.images,
        2,
        2 + MISSING,
    ]


def test_matches_are_counted_by_rule(told: Told) -> None:
    assert told.metrics.with_labels("matches_total", "rule") == {"meme": 1}


def test_actions_that_were_recorded_are_counted(told: Told) -> None:
    found = told.metrics.with_labels("actions_recorded_total", "subject")
    assert found == {"post": 3, "account": 2}


def test_actions_that_ozone_has_are_counted(told: Told) -> None:
    assert told.metrics.with_labels("actions_sent_total", "event") == {"label": 2, "report": 2}
    assert told.metrics.with_labels("actions_sent_total", "rule") == {"meme": 4}


def test_actions_that_were_done_already_are_counted_as_skipped(told: Told) -> None:
    """The first author is reported once; the second's post has its label."""
    found = told.metrics.with_labels("actions_skipped_total", "reason")
    assert found == {"claimed": 1, "already_so": 1}


@pytest.mark.parametrize("service", ["configured_host", "other_host"])
def test_a_host_that_begins_to_be_left_alone_is_counted(told: Told, service: str) -> None:
    found = told.metrics
    assert found.value("circuit_transitions_total", service=service, to="open") == 1
    assert found.value("circuits_open", service=service) == 1
