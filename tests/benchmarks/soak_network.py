"""A network whose hours pass faster than ours, and people who post on it."""

import random
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Lock

from phash_dagster.clock import utc_now
from phash_dagster.sandbox import Post, Sandbox
from phash_dagster.sandbox import images as pictures
from phash_dagster.sandbox.identifiers import microseconds
from phash_dagster.sandbox.repositories import Account

RULE_IMAGE = 1
ACCOUNTS = 60
PICTURES = 40
SIZE = (256, 192)
REPOSTED = 0.1
"""Share of images that were posted before, byte for byte."""

DELETED = 0.02
"""Share of posts that are deleted soon."""

KEPT_BLOBS = 4_000
"""Blobs that the network keeps; older ones are in nobody's way any more."""


@dataclass(frozen=True)
class FastClock:
    """The network's clock: it starts in the past and runs `speed` times as fast as ours.

    The pipeline's own clock is the real one, and no hour of its may lie in the future. So the
    hours of the network are past ones, and the last of them ends before now.
    """

    start: datetime
    speed: float
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def ending_now(cls, minutes: float, speed: float) -> "FastClock":
        """A clock that after so many of our minutes, and a margin, has not reached the present."""
        ahead = timedelta(minutes=minutes + 15) * speed
        start = (utc_now() - ahead).replace(minute=0, second=0, microsecond=0)
        return cls(start, speed)

    def __call__(self) -> datetime:
        """The network's time."""
        return self.start + timedelta(seconds=(time.monotonic() - self.started) * self.speed)

    @property
    def hours(self) -> float:
        """How many of its hours have passed."""
        return (self() - self.start) / timedelta(hours=1)

    def our_seconds(self, from_us: int, to_us: int) -> float:
        """Our seconds between two of its times, in unix microseconds."""
        return (to_us - from_us) / 1e6 / self.speed


@dataclass
class People:
    """Post at random times, decided by a seed; some posts have the image of the rule.

    Attributes:
        per_second: Posts in one of our seconds, of one image each.
        matching: Share of them with an image that the rule knows.
        posts: How many were published.
        published: When each matching post was published, by AT URI: the network's microseconds.
    """

    sandbox: Sandbox
    clock: FastClock
    seed: int
    per_second: float
    matching: float
    posts: int = 0
    published: dict[str, int] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Draw their pictures once; what follows the end of a JPEG makes each a blob of its own."""
        self._chance = random.Random(self.seed)
        self._plain = [pictures.encode(pictures.photo(100 + n, SIZE)) for n in range(PICTURES)]
        self._known = pictures.encode(pictures.photo(RULE_IMAGE, SIZE))
        world = self.sandbox.world
        self._accounts = [world.create_account(f"author-{n}.test") for n in range(ACCOUNTS)]
        self._recent: deque[bytes] = deque(maxlen=200)
        self._blobs: deque[tuple[str, str]] = deque()
        self._doomed: deque[str] = deque()

    def run(self, until: Event) -> None:
        """Post until told to stop."""
        due, started = 0.0, time.monotonic()
        while not until.is_set():
            due += self._chance.expovariate(self.per_second)
            if until.wait(max(0.0, started + due - time.monotonic())):
                return
            self._post(self._chance.choice(self._accounts))
            if self.posts % 500 == 0:
                self._forget()

    def _post(self, account: Account) -> None:
        matches = self._chance.random() < self.matching
        post = self.sandbox.world.publish_post(account, [self._image(matches=matches)])
        self.posts += 1
        if matches:
            with self.lock:
                self.published[post.uri] = microseconds(self.clock())
        elif self._chance.random() < DELETED:
            self._doomed.append(post.uri)
        self._remember(post)

    def _image(self, *, matches: bool) -> bytes:
        if not matches and self._recent and self._chance.random() < REPOSTED:
            return self._chance.choice(self._recent)
        plain = self._known if matches else self._chance.choice(self._plain)
        image = plain + self._chance.randbytes(8)
        if not matches:
            self._recent.append(image)
        return image

    def _remember(self, post: Post) -> None:
        self._blobs.extend((post.did, cid) for cid in post.blob_cids)
        while len(self._blobs) > KEPT_BLOBS:
            self.sandbox.world.repositories.remove_blob(*self._blobs.popleft())
        if len(self._doomed) > 20:
            self.sandbox.world.delete_post(self._doomed.popleft())

    def _forget(self) -> None:
        """Let the stream forget what is over a day old, as a Jetstream host does."""
        self.sandbox.world.events.forget_before(microseconds(self.clock() - timedelta(hours=30)))
