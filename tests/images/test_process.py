import asyncio
import io
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from PIL import Image

from phash_dagster.hashing import HashAlgorithm, HashValue
from phash_dagster.images.decode import DecodeLimits
from phash_dagster.images.model import (
    FetchedImage,
    ImageReference,
    ImageRejected,
    ImageResult,
    ImageUnavailable,
    Outcome,
)
from phash_dagster.images.process import Fetcher, process_images
from phash_dagster.images.turns import Turn
from tests.images.hosts import NOW


def png(width: int = 12, height: int = 10) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "PNG")
    return buffer.getvalue()


PNG = png()


class Size:
    """Hashes an image to its number of pixels; can be slow, and can fail."""

    bits = 64
    version = "1"

    def __init__(self, name: str = "size", *, seconds: float = 0, fails: bool = False) -> None:
        self.name = name
        self._seconds = seconds
        self._fails = fails
        self._lock = threading.Lock()
        self.running = 0
        self.most_running = 0
        self.threads: set[str] = set()

    def hash(self, image: Image.Image) -> HashValue:
        if self._fails:
            raise ZeroDivisionError("in the hash")
        with self._lock:
            self.running += 1
            self.most_running = max(self.running, self.most_running)
            self.threads.add(threading.current_thread().name)
        time.sleep(self._seconds)
        with self._lock:
            self.running -= 1
        return HashValue(image.width * image.height, 100)


class Fetching:
    """Answers every reference alike, counting how many are under way."""

    def __init__(
        self,
        answer: bytes | Exception = PNG,
        *,
        original: bytes | Exception = b"no image either",
        seconds: float = 0,
    ) -> None:
        self._answer = answer
        self._original = original
        self.originals = 0
        self._seconds = seconds
        self.running = 0
        self.most_running = 0
        self.cancelled = 0

    async def fetch(self, reference: ImageReference, turn: Turn) -> FetchedImage:
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await asyncio.sleep(self._seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if isinstance(self._answer, Exception):
            raise self._answer
        return FetchedImage(self._answer, "cdn", "feed_fullsize@jpeg")

    async def fetch_original(self, reference: ImageReference, turn: Turn) -> FetchedImage:
        self.originals += 1
        if isinstance(self._original, Exception):
            raise self._original
        return FetchedImage(self._original, "pds", "original")


def references(count: int) -> list[ImageReference]:
    return [ImageReference(f"cid{number}", "did:plc:a", None) for number in range(count)]


def process(
    fetcher: Fetcher,
    *algorithms: HashAlgorithm,
    images: Sequence[ImageReference] = (),
    limits: DecodeLimits | None = None,
    concurrency: int = 4,
) -> list[ImageResult]:
    async def run() -> list[ImageResult]:
        results = process_images(
            images or references(1), fetcher, algorithms, limits or DecodeLimits(), concurrency
        )
        return [result async for result in results]

    return asyncio.run(run())


def test_a_fetched_image_is_hashed_by_every_algorithm() -> None:
    (result,) = process(Fetching(), Size("one"), Size("two"))
    assert (result.outcome, result.reason, result.source) == (Outcome.hashed, None, "cdn")
    assert (result.width, result.height, result.format) == (12, 10, "png")
    assert [(hashed.algorithm, hashed.value) for hashed in result.hashes] == [
        ("one", 120),
        ("two", 120),
    ]
    assert all("pillow" in hashed.hasher_version for hashed in result.hashes)


@pytest.mark.parametrize(
    "outcome", [Outcome.not_found, Outcome.too_large, Outcome.blocked, Outcome.cid_mismatch]
)
def test_a_rejected_fetch_is_the_outcome(outcome: Outcome) -> None:
    (result,) = process(Fetching(ImageRejected(outcome, "why")), Size())
    assert (result.outcome, result.reason, result.source) == (outcome, "why", None)
    assert result.hashes == ()


def test_an_unavailable_image_waits() -> None:
    (result,) = process(Fetching(ImageUnavailable("busy")), Size())
    assert (result.outcome, result.reason) == (Outcome.waiting, "busy")


NO_IMAGES = [b"", b"<html>maintenance</html>", b"<svg></svg>", PNG[:45]]


@pytest.mark.parametrize("data", NO_IMAGES)
def test_bytes_that_are_no_image_end_without_a_hash(data: bytes) -> None:
    (result,) = process(Fetching(data, original=data), Size())
    assert result.outcome in (Outcome.unsupported, Outcome.corrupt)
    assert result.source == "pds"


@pytest.mark.parametrize("data", NO_IMAGES)
def test_the_original_is_hashed_when_bytes_of_the_cdn_do_not_decode(data: bytes) -> None:
    (result,) = process(Fetching(data, original=PNG), Size())
    assert (result.outcome, result.reason, result.source) == (Outcome.hashed, None, "pds")
    assert [hashed.value for hashed in result.hashes] == [120]


def test_an_original_that_does_not_decode_either_is_the_outcome_with_both_reasons() -> None:
    (result,) = process(Fetching(b"<html></html>", original=b""), Size())
    assert result.outcome is Outcome.corrupt
    assert (result.reason or "").startswith("from the CDN: ")
    assert (result.reason or "").endswith("; the original: the file is empty")


def test_a_refused_original_is_the_outcome_when_bytes_of_the_cdn_do_not_decode() -> None:
    refused = ImageRejected(Outcome.not_found, "pds.example answered 404")
    (result,) = process(Fetching(b"", original=refused), Size())
    assert (result.outcome, result.source) == (Outcome.not_found, "cdn")
    assert result.reason == (
        "from the CDN: the file is empty; the original: pds.example answered 404"
    )


@pytest.mark.parametrize("failure", [ImageUnavailable("busy"), KeyError("surprise")])
def test_an_image_waits_while_its_original_cannot_be_had(failure: Exception) -> None:
    (result,) = process(Fetching(b"", original=failure), Size())
    assert (result.outcome, result.source) == (Outcome.waiting, "cdn")
    assert (result.reason or "").startswith("from the CDN: the file is empty; the original: ")


@pytest.mark.parametrize("answer", [PNG, ImageRejected(Outcome.not_found, "")], ids=["image", "no"])
def test_the_original_is_not_asked_for_without_need(answer: bytes | Exception) -> None:
    fetcher = Fetching(answer)
    process(fetcher, Size())
    assert fetcher.originals == 0


def test_an_original_that_does_not_decode_is_not_asked_for_again() -> None:
    class FromPds(Fetching):
        async def fetch(self, reference: ImageReference, turn: Turn) -> FetchedImage:
            return FetchedImage(b"", "pds", "original")

    fetcher = FromPds()
    (result,) = process(fetcher, Size())
    assert (result.outcome, result.reason) == (Outcome.corrupt, "the file is empty")
    assert fetcher.originals == 0


def test_an_image_of_too_many_pixels_is_too_large() -> None:
    large = png(50, 50)
    (result,) = process(
        Fetching(large, original=large), Size(), limits=DecodeLimits(max_pixels=2499)
    )
    assert result.outcome is Outcome.too_large


def test_an_unexpected_error_makes_its_image_wait_and_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (result,) = process(Fetching(), Size(fails=True))
    assert result.outcome is Outcome.waiting
    assert result.reason == "size: unexpected ZeroDivisionError, see the log: 'in the hash'"
    (record,) = caplog.records
    assert "'cid0'" in record.getMessage()
    assert record.exc_info is not None


def test_an_unexpected_error_of_the_fetcher_makes_its_image_wait() -> None:
    (result,) = process(Fetching(KeyError("surprise")), Size())
    assert (result.outcome, result.source) == (Outcome.waiting, None)
    assert "KeyError" in (result.reason or "")


def test_every_reference_ends_in_one_result() -> None:
    class Mixed(Fetching):
        async def fetch(self, reference: ImageReference, turn: Turn) -> FetchedImage:
            number = int(reference.blob_cid.removeprefix("cid"))
            await asyncio.sleep(number % 7 / 1000)
            if number % 3 == 0:
                raise ImageUnavailable("busy")
            if number % 3 == 1:
                raise RuntimeError("surprise")
            return FetchedImage(PNG, "pds", "original")

    images = references(100)
    results = process(Mixed(), Size(), images=images)
    assert sorted(result.reference.blob_cid for result in results) == sorted(
        image.blob_cid for image in images
    )


def test_no_references_give_no_results() -> None:
    async def run() -> list[ImageResult]:
        results = process_images([], Fetching(), [Size()], DecodeLimits(), 4)
        return [result async for result in results]

    assert asyncio.run(run()) == []


def test_a_concurrency_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        process(Fetching(), Size(), concurrency=0)


def test_as_many_images_are_fetched_at_once_as_allowed_and_no_more() -> None:
    fetcher = Fetching(ImageUnavailable("busy"), seconds=0.005)
    process(fetcher, Size(), images=references(30), concurrency=5)
    assert fetcher.most_running == 5


def test_images_are_hashed_off_the_event_loop_and_one_per_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    algorithm = Size(seconds=0.005)
    process(Fetching(), algorithm, images=references(12), concurrency=12)
    assert algorithm.most_running == 2
    assert threading.main_thread().name not in algorithm.threads


def test_references_are_taken_only_as_slots_get_free() -> None:
    taken = 0

    def endless() -> Iterator[ImageReference]:
        nonlocal taken
        while True:
            taken += 1
            yield ImageReference(f"cid{taken}", "did:plc:a", None)

    async def run() -> None:
        results = process_images(endless(), Fetching(), [Size()], DecodeLimits(), 4)
        for _ in range(10):
            await anext(results)
        await results.aclose()

    asyncio.run(run())
    assert taken <= 10 + 2 * 4


def test_a_slow_image_does_not_hold_up_the_others() -> None:
    class OneSlow(Fetching):
        async def fetch(self, reference: ImageReference, turn: Turn) -> FetchedImage:
            await asyncio.sleep(0.5 if reference.blob_cid == "cid0" else 0)
            return FetchedImage(PNG, "cdn", "feed_fullsize@jpeg")

    results = process(OneSlow(), Size(), images=references(20), concurrency=2)
    assert results[-1].reference.blob_cid == "cid0"


def test_stopping_early_ends_what_is_under_way() -> None:
    class FirstAtOnce(Fetching):
        async def fetch(self, reference: ImageReference, turn: Turn) -> FetchedImage:
            if reference.blob_cid == "cid0":
                raise ImageUnavailable("busy")
            return await super().fetch(reference, turn)

    async def run() -> FirstAtOnce:
        fetcher = FirstAtOnce(seconds=60)
        results = process_images(references(4), fetcher, [Size()], DecodeLimits(), 4)
        await anext(results)
        await results.aclose()
        return fetcher

    assert asyncio.run(run()).cancelled == 3


def test_cancelling_the_consumer_ends_what_is_under_way() -> None:
    async def run() -> Fetching:
        fetcher = Fetching(seconds=60)

        async def consume() -> None:
            results = process_images(references(4), fetcher, [Size()], DecodeLimits(), 4)
            async for _ in results:
                pass

        task = asyncio.create_task(consume())
        while fetcher.running < 4:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return fetcher

    fetcher = asyncio.run(run())
    assert (fetcher.cancelled, fetcher.running) == (4, 0)


def test_only_the_hashes_that_an_image_lacks_are_computed() -> None:
    image = ImageReference("cid", "did:plc:a", None, missing=("two",))
    (result,) = process(Fetching(), Size("one"), Size("two"), images=[image])
    assert [hashed.algorithm for hashed in result.hashes] == ["two"]
    assert result.outcome is Outcome.hashed


def test_a_hash_is_kept_when_another_algorithm_fails_and_the_image_waits_for_that() -> None:
    (result,) = process(Fetching(), Size("one"), Size("two", fails=True))
    assert result.outcome is Outcome.waiting
    assert [hashed.algorithm for hashed in result.hashes] == ["one"]
    assert (result.reason or "").startswith("two: unexpected ZeroDivisionError")
    assert (result.width, result.format) == (12, "png")


def test_the_rendition_that_was_hashed_is_recorded() -> None:
    (rendition,) = process(Fetching(), Size())
    (original,) = process(Fetching(b"", original=PNG), Size())
    assert (rendition.rendition, original.rendition) == ("feed_fullsize@jpeg", "original")


def test_what_a_wait_depends_on_reaches_the_result() -> None:
    failure = ImageUnavailable("down", not_before=NOW, excused=True)
    (result,) = process(Fetching(failure), Size())
    assert (result.not_before, result.excused) == (NOW, True)


def test_images_that_wait_for_a_slow_host_do_not_hold_up_the_others() -> None:
    class SlowHost(Fetching):
        def __init__(self) -> None:
            super().__init__()
            self.others_done = asyncio.Event()
            self.done = 0

        async def fetch(self, reference: ImageReference, turn: Turn) -> FetchedImage:
            if reference.did == "did:plc:slow":
                async with turn.parked():
                    await self.others_done.wait()
            else:
                self.done += 1
                if self.done == 20:
                    self.others_done.set()
            return FetchedImage(PNG, "cdn", "feed_fullsize@jpeg")

    async def run() -> int:
        slow = [ImageReference(f"slow{number}", "did:plc:slow", None) for number in range(8)]
        images = [*slow, *references(20)]
        results = process_images(images, SlowHost(), [Size()], DecodeLimits(), 4)
        return len([result async for result in results])

    assert asyncio.run(run()) == 28
