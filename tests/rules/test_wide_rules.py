"""A rule by an algorithm of 256 bits, from its file to the decision."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from phash_dagster.cli import app
from phash_dagster.clock import utc_now
from phash_dagster.hashing import HashAlgorithm, get_algorithm, hamming_distance, to_hex
from phash_dagster.images.hash_images import wanted_algorithms
from phash_dagster.sandbox.images import meme, photo, reencoded, resized, watermarked
from tests.preview.past import Past, entry, post, uri

pytest.importorskip("pdqhash", reason="the extra pdq is not installed")

MEME = meme(1, "look at this")
COPIES = {
    "same": MEME,
    "smaller": reencoded(resized(MEME)),
    "marked": watermarked(MEME),
}
OTHER = photo(2)


def pdq_rule(algorithm: HashAlgorithm, **changes: Any) -> dict[str, Any]:
    """A rule that finds the meme, and leaves the threshold to the default."""
    text = to_hex(algorithm.hash(MEME).value, 256)
    return entry("wide", algorithm="pdq", phashes=[text], hammingThreshold=None, **changes)


def hash_images(past: Past, algorithm: HashAlgorithm, images: dict[str, Image.Image]) -> None:
    for blob_cid, image in images.items():
        found = algorithm.hash(image)
        past.hash({blob_cid: found.value}, algorithm=algorithm.name, quality=found.quality)


@pytest.fixture
def pdq() -> HashAlgorithm:
    return get_algorithm("pdq")


@pytest.fixture
def past(tmp_path: Path, pdq: HashAlgorithm) -> Past:
    """Posts of the meme, its copies and another picture; the rule is in force before they come."""
    past = Past(tmp_path)
    past.put_in_force(pdq_rule(pdq))
    hash_images(past, pdq, COPIES | {"other": OTHER})
    now = utc_now()
    names = [*COPIES, "other"]
    past.posts.write_batch([post(name, name, at=now) for name in names], start="1", now=now)
    return past


def test_the_images_are_hashed_by_the_algorithm_that_a_rule_names(past: Past) -> None:
    found = wanted_algorithms(past.settings, past.warehouse)
    assert [(algorithm.name, algorithm.bits) for algorithm in found] == [
        ("average", 64),
        ("pdq", 256),
    ]


def test_altered_copies_are_matched_at_their_distance_and_decided(
    past: Past, pdq: HashAlgorithm
) -> None:
    value = pdq.hash(MEME).value
    distances = {
        name: hamming_distance(value, pdq.hash(image).value) for name, image in COPIES.items()
    }
    assert 3 < max(distances.values()) <= 31, "no copy tells the default threshold from that of 64"
    past.put_in_force()
    with past.warehouse.read() as connection:
        rows = connection.execute(
            "FROM rule_matches SELECT blob_cid, distance WHERE algorithm = 'pdq'"
        ).fetchall()
    assert dict(rows) == distances
    planned = {(action.subject_uri, action.event, action.value) for action in past.plan(utc_now())}
    assert planned == {(uri(name), "label", "wide") for name in COPIES}


@pytest.fixture
def commands(past: Past, monkeypatch: pytest.MonkeyPatch) -> Past:
    """The same past, which the commands read by the environment."""
    monkeypatch.chdir(past.settings.data_dir)
    monkeypatch.setenv("DATA_DIR", str(past.settings.data_dir))
    monkeypatch.setenv("RULES_DIR", str(past.settings.rules_dir))
    return past


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_lint_finds_no_danger_at_31_bits_and_one_beyond(commands: Past, pdq: HashAlgorithm) -> None:
    assert run("rules", "lint").stdout == "1 rule, 1 hash: 0 dangers, 0 hashes set aside\n"
    commands.write_rules(pdq_rule(pdq) | {"hammingThreshold": 32})
    result = run("rules", "lint")
    assert (result.exit_code, "set hammingThreshold to 31" in result.stdout) == (3, True)


def test_a_preview_tries_the_rule_on_the_past(commands: Past) -> None:
    found = json.loads(run("rules", "preview", "--json").stdout)
    [rule] = found["rules"]
    assert (rule["threshold"], rule["decided"]["posts"]) == (31, len(COPIES))


def test_similar_images_are_found_by_the_hash_and_by_the_file(
    commands: Past, pdq: HashAlgorithm, tmp_path: Path
) -> None:
    picture = tmp_path / "meme.png"
    MEME.save(picture)
    for source in (to_hex(pdq.hash(MEME).value, 256), picture):
        result = run("similar", source, "--algorithm", "pdq", "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["distance"] == 31
        assert {image["blob_cid"] for image in found["images"]} == set(COPIES)
