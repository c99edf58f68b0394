"""What a run of `image_hashes` shows a person, and what a person can ask of it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from phash_dagster.clock import utc_now
from phash_dagster.defs.image_hashes import image_hashes
from phash_dagster.images.model import ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from tests.images.small_network import Run, SmallNetwork
from tests.images.test_hash_images_hosts import AUTHOR, CID, PICTURE, other_cid

pytestmark = pytest.mark.slow


class Bench(Run):
    """One hour and the asset over it."""

    def __init__(self, network: SmallNetwork, folder: Path) -> None:
        super().__init__(network.environment(folder))
        self.network = network
        self.later = timedelta(0)

    def end(self, blob_cid: str, outcome: Outcome) -> None:
        result = ImageResult(ImageReference(blob_cid, AUTHOR, None), outcome, "for a day")
        with self.warehouse.write() as connection:
            save_results(connection, [result], now=utc_now())

    def materialize(self, **config: object) -> dg.ExecuteInProcessResult:
        [hour] = self.posts.partition_keys()
        return dg.materialize(
            [image_hashes],
            partition_key=hour,
            resources={
                "settings": self.settings,
                "warehouse": self.warehouse,
                "posts": self.posts,
                "clock": lambda: utc_now() + self.later,
            },
            run_config={"ops": {"image_hashes": {"config": config}}} if config else None,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with SmallNetwork() as network:
        yield Bench(network, tmp_path)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    [found] = result.asset_materializations_for_node("image_hashes")
    return {name: value.value for name, value in found.metadata.items()}


def check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [found] = result.get_asset_check_evaluations()
    assert found.check_name == "coverage"
    return found


def test_a_run_tells_what_became_of_the_images_of_its_hour(bench: Bench) -> None:
    bench.network.cdn[CID] = PICTURE
    bench.post([(CID, AUTHOR), (other_cid(1), AUTHOR)])
    result = bench.materialize()
    found = metadata(result)
    assert (found["processed"], found["hashed"]) == (2, 1)
    assert found["outcomes_of_the_hour"] == {"hashed": 1, "not_found": 1}
    assert found["algorithms"] == "average"
    assert check(result).passed
    assert check(result).metadata["seen"].value == 2


def test_images_that_were_given_up_are_warned_of_and_listed(bench: Bench) -> None:
    bench.post([(CID, AUTHOR)])
    bench.end(CID, Outcome.gave_up)
    result = bench.materialize()
    evaluation = check(result)
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    assert "1 of 1 images were given up" in (evaluation.description or "")
    assert CID in str(metadata(result)["given_up"])


def test_a_person_can_have_images_that_were_given_up_tried_again(bench: Bench) -> None:
    bench.network.cdn[CID] = PICTURE
    bench.post([(CID, AUTHOR)])
    bench.end(CID, Outcome.gave_up)
    bench.materialize()
    assert bench.outcomes() == {CID: "gave_up"}
    result = bench.materialize(retry_given_up=True)
    assert bench.outcomes() == {CID: "hashed"}
    assert check(result).passed


def test_images_that_are_not_accounted_for_fail_the_check(bench: Bench) -> None:
    bench.network.cdn[CID] = PICTURE
    bench.post([(CID, AUTHOR)])
    bench.materialize()
    with bench.warehouse.write() as connection:
        connection.execute("UPDATE image_outcomes SET outcome = 'mislaid'")
    evaluation = check(bench.materialize())
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "1 images were seen, but 0 are accounted for" in (evaluation.description or "")


def test_an_algorithm_that_nobody_knows_fails_the_run_and_names_those_that_are_known(
    bench: Bench,
) -> None:
    bench.settings = bench.settings.model_copy(update={"hash_algorithms": ("phash",)})
    bench.post([(CID, AUTHOR)])
    with pytest.raises(dg.Failure) as caught:
        bench.materialize()
    assert "HASH_ALGORITHMS: no hash algorithm is named 'phash'; known: average" in str(
        caught.value.description
    )
