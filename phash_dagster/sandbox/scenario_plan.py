"""The demo's script: who posts which picture, altered how, in which embed, in which order."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PIL import Image

from phash_dagster.sandbox import images
from phash_dagster.sandbox.records import Embed

AUTHORS = 30
ORDINARY_PICTURES = 40

Kind = Literal[
    "post",
    "text",
    "video",
    "unknown_embed",
    "legacy_blob",
    "blob_without_mime_type",
    "missing_blob",
    "deleted",
    "author_taken_down",
]
"""What is special about a post. `deleted` and `author_taken_down` happen at once after it."""

FAN, SPAMMER, REGRETFUL = "fan.test", "spammer.test", "regretful.test"


@dataclass(frozen=True)
class Picture:
    """An original image. `text` makes it a meme."""

    seed: int
    text: str = ""

    def render(self) -> Image.Image:
        """The image itself."""
        return _rendered(self)


@lru_cache(maxsize=64)
def _rendered(picture: Picture) -> Image.Image:
    if picture.text:
        return images.meme(picture.seed, picture.text)
    return images.photo(picture.seed)


@dataclass(frozen=True)
class Shot:
    """One file of a picture: altered, encoded, and perhaps damaged.

    Two equal shots are the same bytes, hence the same blob.
    """

    picture: Picture
    alteration: str = ""
    quality: int = 85
    format: images.Format = "JPEG"
    damage: Literal["", "truncated", "svg"] = ""

    @property
    def outcome(self) -> str:
        """How the pipeline must end with it, if the blob is there."""
        return {"": "hashed", "truncated": "corrupt", "svg": "unsupported"}[self.damage]

    def data(self) -> bytes:
        """The file."""
        if self.damage == "svg":
            return images.svg(self.picture.seed)
        image = self.picture.render()
        if self.alteration:
            image = images.ALTERATIONS[self.alteration](image)
        encoded = images.encode(image, self.format, self.quality)
        return images.truncated(encoded) if self.damage == "truncated" else encoded


@dataclass(frozen=True)
class Step:
    """One post."""

    author: str
    shots: tuple[Shot, ...] = ()
    embed: Embed = "images"
    kind: Kind = "post"


SPAM = (Picture(9001, "FREE COINS\nSEND ONE GET TWO"), Picture(9002, "HOT STOCK TIP\nLAST CHANCE"))
TROLL = Picture(9003, "YOU ARE ALL\nWRONG")
IMPERSONATION = Picture(9004)
SLEEPER = Picture(9005)


def plan(seed: int, posts: int) -> list[Step]:
    """The steps, in order: the same for the same arguments.

    Raises:
        ValueError: `posts` is too small to hold everything that the demo shows.
    """
    choice = random.Random(seed)  # noqa: S311 - a script, not a secret
    special = [*_known(), *_damaged(seed), *_odd(seed)]
    early = [_sleeper()]
    missing = posts - len(special) - len(early)
    if missing < len(early):
        raise ValueError(f"posts must be at least {len(special) + 2 * len(early)}, not {posts}")
    rest = [*special, *(_ordinary(choice, seed) for _ in range(missing))]
    choice.shuffle(rest)
    return [*rest[:1], *early, *rest[1:]]


def _author(number: int) -> str:
    return f"author-{number % AUTHORS:02}.test"


def _known() -> Iterator[Step]:
    """Posts with images that the rules know, or will know."""
    for rule, picture in enumerate((*SPAM, TROLL, IMPERSONATION)):
        for number, alteration in enumerate(images.ALTERATIONS):
            shot = Shot(picture, alteration, quality=60)
            embed: Embed = "recordWithMedia" if number % 3 == 2 else "images"
            yield Step(_author(7 * rule + number), (shot,), embed)
    # The same file by others, and by one author twice.
    same = Shot(TROLL, "resized")
    for number in (20, 21, 22, 22):
        yield Step(_author(number), (same,))
    yield Step(_author(23), (Shot(SPAM[0], format="PNG"), Shot(TROLL, format="WEBP")))
    yield Step(_author(24), (Shot(IMPERSONATION, quality=50),), "external")
    yield Step(FAN, (Shot(TROLL, quality=45),))
    yield Step(REGRETFUL, (Shot(SPAM[0], quality=44),), kind="deleted")
    yield Step(SPAMMER, (Shot(SPAM[1], quality=43),), kind="author_taken_down")


def _sleeper() -> Step:
    """What no rule knows at first."""
    return Step(_author(25), (Shot(SLEEPER, "reencoded"),))


def _damaged(seed: int) -> Iterator[Step]:
    """Images that no one can hash."""
    for number in range(2):
        picture = Picture(_unique(seed, number))
        yield Step(_author(number), (Shot(picture, damage="svg"),))
        yield Step(_author(number + 2), (Shot(picture, damage="truncated"),))
        yield Step(_author(number + 4), (Shot(picture, quality=77),), kind="missing_blob")


def _odd(seed: int) -> Iterator[Step]:
    """Records that are not like the others."""
    yield Step(_author(6), kind="text")
    yield Step(_author(7), kind="video")
    yield Step(_author(8), kind="unknown_embed")
    yield Step(_author(9), (Shot(Picture(_unique(seed, 10))),), kind="legacy_blob")
    yield Step(_author(10), (Shot(Picture(_unique(seed, 11))),), kind="blob_without_mime_type")


def _unique(seed: int, number: int) -> int:
    return 10_000 + 100 * seed + number


def _ordinary(choice: random.Random, seed: int) -> Step:
    embeds: Sequence[Embed] = ("images", "recordWithMedia", "external", "gallery")
    counts: dict[Embed, Callable[[], int]] = {
        "images": lambda: choice.choice((1, 1, 1, 2, 3, 4)),
        "recordWithMedia": lambda: choice.choice((1, 1, 2)),
        "external": lambda: 1,
        "gallery": lambda: choice.randint(5, 8),
        "video": lambda: 1,
    }
    embed = choice.choices(embeds, weights=(70, 12, 13, 5))[0]
    shots = tuple(_ordinary_shot(choice, seed) for _ in range(counts[embed]()))
    return Step(_author(choice.randrange(AUTHORS)), shots, embed)


def _ordinary_shot(choice: random.Random, seed: int) -> Shot:
    picture = Picture(100 * seed + choice.randrange(ORDINARY_PICTURES))
    alteration = choice.choice(("", "", *images.ALTERATIONS))
    return Shot(picture, alteration, quality=choice.choice((70, 85, 92)))
