"""The real pipeline, daemon and all, beside a sandbox."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from PIL.Image import Image

from phash_dagster.hashing import get_algorithm
from phash_dagster.hashing.interface import to_hex
from phash_dagster.sandbox import Post, Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.pipeline import LocalPipeline

Sent = tuple[str, str, str]
"""Subject, type of event, label."""

RULE: dict[str, Any] = {
    "comment": "known image",
    "reportAcct": False,
    "labelAcct": False,
    "reportPost": False,
    "toLabel": False,
}


def average_hash(image: Image) -> str:
    """The hash a rule would name for this image."""
    return to_hex(get_algorithm("average").hash(image).value, 64)


def rule(image: Image, label: str, **flags: bool) -> dict[str, Any]:
    return {**RULE, "phashes": [average_hash(image)], "label": label, **flags}


def write_rules(pipeline: LocalPipeline, name: str, rules: Sequence[Mapping[str, Any]]) -> None:
    (pipeline.settings.rules_dir / name).write_text(json.dumps(list(rules)))


@dataclass
class Publisher:
    """Publishes posts and remembers them: the truth that the pipeline is held against."""

    sandbox: Sandbox
    posts: list[Post] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)

    def post(self, author: str, *images: Image) -> Post:
        accounts = self.sandbox.world.repositories
        account = accounts.find(author) or self.sandbox.world.create_account(author)
        files = [pictures.encode(image, quality=90) for image in images]
        self.files += files
        published = self.sandbox.world.publish_post(account, files)
        self.posts.append(published)
        return published

    @property
    def rows(self) -> Counter[tuple[str, str, str]]:
        """The rows of `image_posts` that must be there, each once."""
        return Counter(
            (post.uri, post.cid, blob_cid) for post in self.posts for blob_cid in post.blob_cids
        )


def written_rows(pipeline: LocalPipeline) -> Counter[tuple[str, str, str]]:
    """The image rows of every Parquet file, unfolded: what was written twice counts twice."""
    files = [str(path) for path in pipeline.posts.files(pipeline.posts.partition_keys())]
    if not files:
        return Counter()
    rows = ds.dataset(files).to_table(columns=["uri", "cid", "blob_cid"]).to_pylist()
    return Counter((row["uri"], row["cid"], row["blob_cid"]) for row in rows if row["blob_cid"])


def sent_events(sandbox: Sandbox) -> Counter[Sent]:
    """What the sandbox's Ozone holds, without the tags that Ozone itself adds."""
    found: Counter[Sent] = Counter()
    for event in sandbox.world.moderation.events():
        kind = event.type.rpartition("#modEvent")[2].lower()
        if kind == "tag":
            continue
        labels = event.event.get("createLabelVals") or [""]
        found.update((event.subject.key, kind, label) for label in labels)
    return found


def has_settled(pipeline: LocalPipeline, publisher: Publisher) -> bool:
    """Whether every published image is stored and has its outcome, and nothing is left to do.

    Posts may share an image, whose outcome then says nothing of the later ones.
    """
    cids = {cid for post in publisher.posts for cid in post.blob_cids}
    return (
        publisher.rows <= written_rows(pipeline)
        and cids <= pipeline.outcomes().keys()
        and pipeline.is_settled()
    )


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as network:
        yield network


@pytest.fixture
def publisher(sandbox: Sandbox) -> Publisher:
    return Publisher(sandbox)


@pytest.fixture
def pipeline(sandbox: Sandbox, tmp_path: Path) -> LocalPipeline:
    return LocalPipeline.under(
        tmp_path,
        {
            **sandbox.settings_environment(),
            "MODERATION_MODE": "live",
            "MICROBATCH_SECONDS": "2",
            "RATE_LIMIT_MS": "10",
            "RETRY_DELAY_MS": "50",
        },
    )


def wait_until_ready(pipeline: LocalPipeline) -> None:
    """Wait until the sensor knows where it starts and the rules are in force."""
    pipeline.wait_until(pipeline.has_cursor, "the sensor's first tick", seconds=180)
    pipeline.wait_until(lambda: pipeline.rules_in_force() is not None, "rules", seconds=180)


def is_through(pipeline: LocalPipeline, hours: Sequence[str]) -> bool:
    """Whether these hours are matched with the rules in force, and their actions planned."""
    rules = pipeline.rules_in_force()
    if rules is None or not pipeline.is_idle():
        return False
    with pipeline.warehouse.read() as connection:
        rows = connection.execute(
            "FROM partition_matches INNER JOIN partition_plans USING (partition_key, version) "
            "SELECT partition_key WHERE version = $1",
            [rules.version],
        ).fetchall()
    return {key for (key,) in rows} >= set(hours)


def stored_matches(pipeline: LocalPipeline, label: str) -> Counter[tuple[str, str, int]]:
    """Blob CID, rule hash and distance of each stored match by the rule in force of this label."""
    rules = pipeline.rules_in_force()
    assert rules is not None
    [rule_id] = [rule.id for rule in rules.rules if rule.label == label]
    with pipeline.warehouse.read() as connection:
        rows = connection.execute(
            "FROM rule_matches SELECT blob_cid, rule_hash, distance WHERE rule_id = $1", [rule_id]
        ).fetchall()
    return Counter(rows)


def matches_by_comparing_all(pipeline: LocalPipeline, label: str) -> Counter[tuple[str, str, int]]:
    """What comparing every stored hash with those of the rule finds."""
    rules = pipeline.rules_in_force()
    assert rules is not None
    [rule] = [rule for rule in rules.rules if rule.label == label]
    reach = rules.threshold(rule) + pipeline.settings.match_margin
    with pipeline.warehouse.read() as connection:
        hashes = connection.execute(
            "FROM image_hashes SELECT blob_cid, hash WHERE algorithm = $1", [rule.algorithm]
        ).fetchall()
    return Counter(
        (cid, rule_hash, distance)
        for cid, value in hashes
        for rule_hash in rule.phashes
        if (distance := (value ^ int(rule_hash, 16)).bit_count()) <= reach
    )
