"""What a run leaves behind on disk: no image, no credential."""

from pathlib import Path

import pytest

from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.cdn import FORMATS, MAX_SIDE, render
from phash_dagster.sandbox.pipeline import LocalPipeline
from tests.pipeline.conftest import (
    Publisher,
    has_settled,
    rule,
    sent_events,
    wait_until_ready,
    write_rules,
    written_rows,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def pieces(data: bytes) -> list[bytes]:
    """Pieces of a file long enough to be found nowhere by chance."""
    return [data[start : start + 32] for start in range(0, len(data) - 32, len(data) // 8)]


def with_renditions(image: bytes) -> list[bytes]:
    """An uploaded file, and what the CDN makes of it, which is what the pipeline fetches."""
    rendered = {render(image, name, side) for name in FORMATS for side in MAX_SIDE.values()}
    return [image, *(each for each in rendered if each)]


def test_neither_images_nor_credentials_are_left_on_disk(
    sandbox: Sandbox, pipeline: LocalPipeline, publisher: Publisher, tmp_path: Path
) -> None:
    bad = pictures.photo(1)
    write_rules(pipeline, "blobs.json", [rule(bad, "bad", toLabel=True)])
    with pipeline.daemon():
        wait_until_ready(pipeline)
        publisher.post("a.test", bad, pictures.photo(2))
        pipeline.wait_until(lambda: has_settled(pipeline, publisher), "the post", seconds=90)
    assert len(sent_events(sandbox)) == 1

    secrets = [sandbox.world.automod.password.encode(), b'"accessJwt"', b"Bearer ey"]
    images = [
        piece
        for uploaded in publisher.files
        for image in with_renditions(uploaded)
        for piece in pieces(image)
    ]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 10
    for path in written:
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret in content], f"a credential in {path}"
        assert not [piece for piece in images if piece in content], f"image bytes in {path}"


def test_an_image_is_fetched_once_however_many_posts_carry_it(
    sandbox: Sandbox, pipeline: LocalPipeline, publisher: Publisher
) -> None:
    write_rules(pipeline, "blobs.json", [])
    picture = pictures.photo(1)
    with pipeline.daemon():
        wait_until_ready(pipeline)
        for number in range(5):
            publisher.post(f"a{number}.test", picture)
        pipeline.wait_until(lambda: has_settled(pipeline, publisher), "first posts", seconds=90)
        publisher.post("later.test", picture)
        pipeline.wait_until(
            lambda: sum(written_rows(pipeline).values()) == 6 and has_settled(pipeline, publisher),
            "the later post",
            seconds=90,
        )
    assert sum(sandbox.world.traffic.requests("cdn").values()) == 1
