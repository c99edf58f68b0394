"""What the trials of docs/production.md share: the page, and posts that have to be labelled.

The posts have a picture that a rule knows, and are on the sandbox's network.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from phash_dagster.sandbox import Post, Sandbox
from phash_dagster.sandbox import images as pictures
from tests.documents.commands import ROOT
from tests.pipeline.conftest import rule, sent_events

PAGE: Final = ROOT / "docs" / "production.md"
NAMED_BACKUP: Final = "phash-dagster-20261123T034000Z.zip"
"""The name that the page gives to a backup."""

MEME: Final = pictures.photo(7)
LABEL: Final = "known"

WaitFor = Callable[[Callable[[], bool], str], None]
"""Waits for a condition, which the words name."""


def rule_file() -> str:
    """A rule file that labels the picture."""
    return json.dumps([rule(MEME, LABEL, toLabel=True)])


@dataclass
class KnownPosts:
    """What was published, and has to be labelled once each."""

    sandbox: Sandbox
    posts: list[Post] = field(default_factory=list)

    def label_another(self, what: str, wait_for: WaitFor) -> None:
        """Publish the picture, and wait for its label."""
        author = self.sandbox.world.create_account(f"author-{len(self.posts)}.test")
        image = pictures.encode(MEME) + author.did.encode()  # a blob of its own
        self.posts.append(self.sandbox.world.publish_post(author, [image]))
        start = time.monotonic()
        wait_for(self._all_labelled, what)
        print(f"ok: {what}, after {time.monotonic() - start:.0f} s", flush=True)

    def _all_labelled(self) -> bool:
        sent = sent_events(self.sandbox)
        labels = {subject: times for (subject, kind, _), times in sent.items() if kind == "label"}
        assert set(labels.values()) <= {1}, f"labelled twice: {labels}"
        return labels.keys() == {post.uri for post in self.posts}
