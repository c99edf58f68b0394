"""A small past for explanations: real stores, with what a test puts into them."""

from datetime import datetime, timedelta
from typing import Any

from phash_dagster.explain.model import Explanation, PostStory, Story
from phash_dagster.explain.question import parse_question
from phash_dagster.explain.run import Explainer
from phash_dagster.images.model import ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.draft import Planning
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.mirror import mirror_ledger
from phash_dagster.moderation.plan_hours import plan_hours
from phash_dagster.sandbox.identifiers import blob_cid as cid_of
from phash_dagster.sandbox.identifiers import tid
from tests.moderation.builders import TTL
from tests.preview.past import MEME, NOW, OTHER, Past, delete, entry, near, uri
from tests.preview.past import account as account_event
from tests.preview.past import post as image_post

__all__ = ["MEME", "NOW", "OTHER", "Stage", "account_event", "delete", "entry", "near", "uri"]

RULES_LOADED = NOW - timedelta(hours=5)
POSTED = NOW - timedelta(hours=1)


def key(moment: datetime = POSTED, number: int = 0) -> str:
    """The record key of something written at that moment."""
    return tid(int(moment.timestamp() * 1_000_000), number)


def blob(name: str) -> str:
    """A CID."""
    return cid_of(name.encode())


class Stage(Past):
    """A pipeline whose rules were there before the posts."""

    def post(self, rkey: str, *images: str, did: str = "did:plc:a", **fields: Any) -> str:
        """A post with these images, by the names that their hashes were given; its AT URI."""
        self.write(
            *(
                image_post(
                    rkey,
                    blob(name),
                    did=did,
                    **{"position": place, "mime_type": "image/jpeg", "size_bytes": 9000, **fields},
                )
                for place, name in enumerate(images)
            )
        )
        return uri(rkey, did)

    def give(self, **values: int) -> None:
        """Hash these images."""
        self.hash({blob(name): value for name, value in values.items()})

    def end(self, name: str, outcome: Outcome, reason: str) -> None:
        """Let an image end, or wait, without a hash."""
        reference = ImageReference(blob(name), "did:plc:a", "image/jpeg")
        with self.warehouse.write() as connection:
            save_results(connection, [ImageResult(reference, outcome, reason)], now=NOW)

    def rule(self, *entries: dict[str, Any], at: datetime = RULES_LOADED) -> None:
        """Put rules in force and match everything with them."""
        self.put_in_force(*(entries or [entry()]), at=at)

    def live(self, now: datetime = NOW) -> list[Action]:
        """Plan every hour as live runs do; returns all rows."""
        with self.ledger() as ledger:
            plan_hours(
                Planning(self.posts.partition_keys(), lane="live", run_id="run", now=now),
                settings=self.settings,
                ledger=ledger,
                warehouse=self.warehouse,
                posts=self.posts,
            )
        return self.rows()

    def ledger(self, now: datetime = NOW) -> Ledger:
        return Ledger(self.settings.effective_ledger_url, lambda: now)

    def rows(self) -> list[Action]:
        with self.ledger() as ledger:
            return ledger.changed_since(NOW - timedelta(days=999))

    def send(self, event_id: int = 7) -> None:
        """Everything that is planned is sent."""
        with self.ledger() as ledger:
            for row in ledger.in_state(State.PLANNED):
                ledger.mark_sending(row.action_id)
                ledger.mark_sent(row.action_id, event_id, NOW)
                event_id += 1

    def record(self, *actions: Action) -> None:
        """Write rows into the ledger as they are."""
        with self.ledger() as ledger:
            ledger.record(actions, claim_ttl=TTL)

    def mirror(self) -> None:
        with self.ledger() as ledger:
            mirror_ledger(ledger, self.warehouse)

    def outcome(
        self, action_id: int, outcome: str, *, kind: str = "people", event: int = 90
    ) -> None:
        """Something happened to an action at the labeler."""
        with self.warehouse.write() as connection:
            connection.execute(
                "INSERT INTO action_outcomes VALUES ($1, $2, $3, 'did:plc:mod', $4, $5, 'art')",
                [action_id, event, outcome, kind, NOW],
            )

    def change(self, **settings: Any) -> None:
        self.settings = self.settings.model_copy(update=settings)

    def explain(self, asked: str, now: datetime = NOW) -> Explanation:
        return Explainer(self.settings, now).explain(parse_question(asked))

    def story(self, asked: str, now: datetime = NOW) -> Story:
        [story] = self.explain(asked, now).stories
        return story

    def post_story(self, asked: str, now: datetime = NOW) -> PostStory:
        story = self.story(asked, now)
        assert isinstance(story, PostStory)
        return story

    def because(self, asked: str, now: datetime = NOW) -> str:
        return self.explain(asked, now).because
