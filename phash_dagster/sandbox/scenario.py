"""The demo's network life: publishes a plan, and knows exactly what the pipeline must find."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from phash_dagster.sandbox import records
from phash_dagster.sandbox.identifiers import timestamp
from phash_dagster.sandbox.repositories import Account
from phash_dagster.sandbox.scenario_plan import (
    FAN,
    IMPERSONATION,
    SLEEPER,
    SPAM,
    TROLL,
    Picture,
    Step,
    plan,
)
from phash_dagster.sandbox.server import Sandbox
from phash_dagster.sandbox.world import Post, World

DEFAULT_SEED = 7
DEFAULT_POSTS = 300
_LIKE_EVERY = 4
_MALFORMED_FRAMES = ('{"did":"did:plc:cut', "[]")


@dataclass(frozen=True)
class ScenarioRule:
    """A rule of the demo: the images it knows, and its entry in a rule file without hashes."""

    pictures: tuple[Picture, ...]
    fields: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The label that it puts on posts or accounts; also its name here."""
        return str(self.fields["label"])

    def originals(self) -> tuple[Image.Image, ...]:
        """The known images, before anybody altered them."""
        return tuple(picture.render() for picture in self.pictures)

    def entry(self, phashes: Sequence[str]) -> dict[str, Any]:
        """The rule as an entry of a rule file, with the hashes of `originals`."""
        return {"phashes": list(phashes), **self.fields}


@dataclass
class Expectation:
    """What the pipeline must have found once it is through; complete when all is published.

    Attributes:
        posts: Posts written.
        images: Images in them; one that stands twice in a post counts once.
        outcomes: The outcome of each distinct blob, by CID.
        matches: Blobs within the threshold of each rule, by its label.
        labels: (AT URI or DID, label) that live actions must lead to, each once.
        reports: (AT URI or DID, label of the rule) likewise.
        suppressed: Posts that match but are gone, or their author is, before anything is sent.
        ignored: Posts that match but whose author the rule ignores.
        unknown_embeds: Posts whose embed nobody knows.
        malformed_frames: Frames of the stream that are no events.
        late_matches: Blobs within the threshold of the rule that is added later.
        late_labels: (AT URI, label) that this rule leads to.
    """

    posts: int = 0
    images: int = 0
    outcomes: dict[str, str] = field(default_factory=dict)
    matches: dict[str, set[str]] = field(default_factory=dict)
    labels: set[tuple[str, str]] = field(default_factory=set)
    reports: set[tuple[str, str]] = field(default_factory=set)
    suppressed: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    unknown_embeds: int = 0
    malformed_frames: int = 0
    late_matches: set[str] = field(default_factory=set)
    late_labels: set[tuple[str, str]] = field(default_factory=set)

    @property
    def outcome_counts(self) -> Counter[str]:
        """How many distinct blobs end in each outcome."""
        return Counter(self.outcomes.values())


class Scenario:
    """A few hundred posts on a network.

    Making it creates the accounts and settles the rules; `publish` writes the posts one by one.

    Args:
        world: The network, untouched so far.
        seed: Decides ordinary pictures and the order.
        posts: How many posts.

    Raises:
        ValueError: Too few posts for what has to be in it.
    """

    def __init__(
        self, world: World, *, seed: int = DEFAULT_SEED, posts: int = DEFAULT_POSTS
    ) -> None:
        self.steps = plan(seed, posts)
        self._world = world
        handles = sorted({step.author for step in self.steps})
        self._accounts = {handle: world.create_account(handle) for handle in handles}
        self.rules = _rules(ignored_did=self._accounts[FAN].did)
        self.late_rule = _late_rule()
        self.expected = Expectation(matches={rule.label: set() for rule in self.rules})

    def publish(self) -> Iterator[Post]:
        """Write the posts, yielding each; wait between them to spread them over time."""
        for frame in _MALFORMED_FRAMES:
            self._world.publish_raw(frame)
            self.expected.malformed_frames += 1
        for number, step in enumerate(self.steps):
            files = [shot.data() for shot in step.shots]
            with self._world.events.together():
                post = self._write(step, files)
                self._befall(step, post)
            self._expect(step, post)
            if number % _LIKE_EVERY == 0:
                self._world.like(self._world.automod, post)
            yield post

    def _write(self, step: Step, files: Sequence[bytes]) -> Post:
        account = self._accounts[step.author]
        if step.kind in ("post", "missing_blob", "deleted", "author_taken_down"):
            return self._world.publish_post(account, files, embed=step.embed, text="A picture")
        embed = self._odd_embed(step, account, files)
        created_at = timestamp(self._world.clock())
        return self._world.publish_record(account, records.post("A post", created_at, embed))

    def _odd_embed(
        self, step: Step, account: Account, files: Sequence[bytes]
    ) -> records.Json | None:
        if step.kind == "text":
            return None
        if step.kind == "unknown_embed":
            return {"$type": "app.example.embed.poll", "choices": ["yes", "no"]}
        if step.kind == "video":
            clip = b"\x00\x00\x00\x18ftypmp42 not really a video"
            cid = self._world.upload(account, clip, mime_type="video/mp4")
            return records.embed_of("video", [records.blob(cid, "video/mp4", len(clip))])
        cid = self._world.upload(account, files[0])
        blob = records.blob(cid, None, len(files[0]))
        if step.kind == "legacy_blob":
            blob = records.legacy_blob(cid, "image/jpeg")
        return records.embed_of("images", [blob])

    def _befall(self, step: Step, post: Post) -> None:
        """What happens right after the post, before anybody can have acted on it."""
        match step.kind:
            case "missing_blob":
                self._world.repositories.remove_blob(post.did, post.blob_cids[0])
            case "deleted":
                self._world.delete_post(post.uri)
            case "author_taken_down":
                self._world.set_account_status(post.did, active=False, status="takendown")
            case _:
                pass

    def _expect(self, step: Step, post: Post) -> None:
        expected = self.expected
        expected.posts += 1
        expected.unknown_embeds += step.kind == "unknown_embed"
        expected.images += len(set(post.blob_cids[: len(step.shots)]))
        for shot, cid in zip(step.shots, post.blob_cids, strict=False):
            gone = step.kind == "missing_blob"
            expected.outcomes[cid] = "not_found" if gone else shot.outcome
            if shot.outcome == "hashed" and not gone:
                self._expect_match(step, post, shot.picture, cid)

    def _expect_match(self, step: Step, post: Post, picture: Picture, cid: str) -> None:
        if picture in self.late_rule.pictures:
            self.expected.late_matches.add(cid)
            self.expected.late_labels.add((post.uri, self.late_rule.label))
        for rule in self.rules:
            if picture not in rule.pictures:
                continue
            self.expected.matches[rule.label].add(cid)
            if post.did in rule.fields.get("ignoreDID", ()):
                self.expected.ignored.add(post.uri)
            elif step.kind in ("deleted", "author_taken_down"):
                self.expected.suppressed.add(post.uri)
            else:
                self._expect_actions(rule, post)

    def _expect_actions(self, rule: ScenarioRule, post: Post) -> None:
        subjects = {
            "toLabel": (self.expected.labels, post.uri),
            "labelAcct": (self.expected.labels, post.did),
            "reportPost": (self.expected.reports, post.uri),
            "reportAcct": (self.expected.reports, post.did),
        }
        for name, (found, subject) in subjects.items():
            if rule.fields[name]:
                found.add((subject, rule.label))


def publish_scenario(
    sandbox: Sandbox, seed: int = DEFAULT_SEED, posts: int = DEFAULT_POSTS
) -> Scenario:
    """Publish a whole scenario at once."""
    scenario = Scenario(sandbox.world, seed=seed, posts=posts)
    for _ in scenario.publish():
        pass
    return scenario


def _rules(ignored_did: str) -> tuple[ScenarioRule, ...]:
    """The rules in force from the start, in the order of their file."""
    return (
        ScenarioRule(
            SPAM,
            _fields("spam", "Scam advertisement", "Two scam memes", toLabel=True, reportPost=True),
        ),
        ScenarioRule(
            (TROLL,),
            _fields("troll", "Trolling meme", "One meme", toLabel=True, labelAcct=True)
            | {"hammingThreshold": 3, "ignoreDID": [ignored_did]},
        ),
        ScenarioRule(
            (IMPERSONATION,),
            _fields("impersonation", "Stolen picture", "One photo", reportAcct=True),
        ),
    )


def _late_rule() -> ScenarioRule:
    return ScenarioRule(
        (SLEEPER,), _fields("raid", "Raid picture", "Known only later", toLabel=True)
    )


def _fields(label: str, comment: str, description: str, **actions: bool) -> dict[str, Any]:
    names = ("reportAcct", "labelAcct", "reportPost", "toLabel", "takedownPost", "takedownAcct")
    chosen = {name: actions.get(name, False) for name in names}
    return {"label": label, "comment": comment, **chosen, "description": description}
