"""From a clean clone to a first labelled post on the real servers, following the README.

Everything is typed as the README writes it. What is put in the place of something else:

- The network. `.env` names the PLC directory, PDS and Jetstream of this test from the beginning,
  since the README's defaults are the public ones. No CDN: images come from the author's PDS. PLC
  directory, PDS and Ozone are the real servers; Jetstream is the sandbox's, which is given what the
  PDS's own firehose says.
- uv takes packages from its cache (`UV_OFFLINE=1`), so that nothing is downloaded.
- The picture is a generated one, and its hash stands in the rule file in the place of the README's.
- The days in shadow mode, which the README advises, are as long as one post takes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from PIL import Image

from phash_dagster.moderation.actions import State
from phash_dagster.sandbox import Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.pipeline import LocalPipeline
from tests.testnet.newcomer import Checkout, answers, dev, wait_for
from tests.testnet.relay import FirehoseRelay
from tests.testnet.testnet import Author, Post, Testnet

pytestmark = [pytest.mark.testnet, pytest.mark.slow, pytest.mark.timeout(2400)]

LABEL = "troll"
"""Of the README's rule."""

MEME = pictures.photo(41)


@dataclass(frozen=True)
class World:
    """What there is before the newcomer comes: the network, and an author who posts a picture."""

    testnet: Testnet
    author: Author
    settings: dict[str, str]

    def publish(self, image: Image.Image) -> Post:
        data = pictures.encode(image, quality=90)
        blob = self.testnet.upload_blob(self.author, data, "image/jpeg")
        return self.testnet.create_post(self.author, [blob])

    def labels(self, post: Post) -> set[str]:
        return {label["val"] for label in self.testnet.query_labels(post.uri)}

    def reports(self, post: Post) -> int:
        report = "tools.ozone.moderation.defs#modEventReport"
        return len(self.testnet.query_events(subject=post.uri, types=[report]))


@pytest.fixture
def world(testnet: Testnet) -> Iterator[World]:
    author = testnet.create_author("newcomer")
    with (
        Sandbox() as jetstream,
        FirehoseRelay(testnet.pds_url, jetstream.world.push_event, {author.did}),
    ):
        yield World(testnet, author, testnet.settings_environment(jetstream.jetstream_url))


def test_a_newcomer_gets_a_post_labelled(world: World, tmp_path: Path) -> None:
    checkout, log = Checkout.clone(tmp_path / "phash-dagster"), tmp_path / "dev.log"
    demonstrated = checkout.follow("make", "demo")
    assert "\nok " in demonstrated
    assert "MISSING" not in demonstrated
    going_live = checkout.variables_for_going_live()
    network = {name: value for name, value in world.settings.items() if name not in going_live}
    checkout.add_settings(network)

    # "Your first rule in five minutes"
    (tmp_path / "meme.jpg").write_bytes(pictures.encode(MEME))
    picture = str(tmp_path / "meme.jpg")
    hashed, _, _ = checkout.follow("phash-dagster", "hash", picture).partition("  ")
    rules = checkout.rules_of_the_readme()
    rules[0]["phashes"] = [hashed]
    assert rules[0]["mode"] == "shadow"
    rule_file = checkout.folder / "rules" / "my-rules.json"
    rule_file.write_text(json.dumps(rules, indent=2))

    with dev(checkout, log) as address:
        pipeline = checkout.pipeline()
        home = pipeline.settings.data_dir / "dagster" / "dagster.yaml"
        wait_for(lambda: home.exists() and answers(address), "the UI", log)
        wait_for(pipeline.has_cursor, "a first look at the stream", log)
        wait_for(lambda: pipeline.rules_in_force() is not None, "the rules in force", log)
        first = world.publish(pictures.reencoded(MEME))
        wait_for(lambda: pipeline.outcomes().keys() >= set(first.blob_cids), "the image", log)
        wait_for(lambda: bool(pipeline.actions()), "what would be done", log)
    actions = pipeline.actions()
    assert {(action.subject, action.state) for action in actions} == {(first.uri, State.SHADOW)}
    assert "shadow" in checkout.type("phash-dagster", "actions", "list")
    report = Path(checkout.follow("phash-dagster", "report").strip().splitlines()[0])
    assert f"{LABEL}:{hashed}" in (checkout.folder / report).read_text()
    assert not world.labels(first)
    assert not world.reports(first)

    # "Going live, safely"
    checkout.add_settings({name: world.settings.get(name, "live") for name in going_live})
    findings = json.loads(checkout.follow("phash-dagster", "doctor", "--json"))["findings"]
    well = {one["about"] for one in findings if one["status"] == "ok"}
    assert {"login", "role"} <= well
    rules[0].pop("mode")
    rule_file.write_text(json.dumps(rules, indent=2))
    with dev(checkout, log):
        wait_for(lambda: mode_in_force(pipeline) == "live", "the live rule in force", log)
        second = world.publish(pictures.resized(MEME))
        wait_for(lambda: world.labels(second) == {LABEL}, "the label at Ozone", log)
        wait_for(lambda: world.reports(second) == 1, "the report at Ozone", log)
        wait_for(pipeline.is_settled, "an end of all runs", log)
        said = checkout.type("phash-dagster", "explain", second.uri)
    assert second.uri in said
    assert "sent" in said.splitlines()[-1]
    sent = ("actions", "list", "--state", "sent", second.uri)
    assert "sent" in checkout.type("phash-dagster", *sent)
    assert world.labels(second) == {LABEL}

    assert not left_behind(checkout)
    changed = checkout.run("git", "status", "--porcelain").split()
    assert changed == ["??", "rules/my-rules.json"]


def mode_in_force(pipeline: LocalPipeline) -> str | None:
    """The mode of the newcomer's rule, as the pipeline knows it."""
    rules = pipeline.rules_in_force()
    return next((rule.mode for rule in rules.rules if rule.label == LABEL), None) if rules else None


def left_behind(checkout: Checkout) -> list[psutil.Process]:
    """Processes that run in this folder or from its environment."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if any(str(checkout.folder) in word for word in command):
            found.append(process)
    return found
