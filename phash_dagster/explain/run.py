"""Answers a question: looks into the stores, one after the other, and tells the story.

Nothing is written. DuckDB and the ledger are open for moments; the Parquet files of posts, which
take longest, are read beside them.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from phash_dagster.explain import absence
from phash_dagster.explain.accounts import account_story
from phash_dagster.explain.archive import Archive, Progress
from phash_dagster.explain.fates import Circumstances
from phash_dagster.explain.images import Judge, image_story, matches_in
from phash_dagster.explain.model import (
    AccountStory,
    ActionStory,
    BlobStory,
    Explanation,
    PostStory,
    Story,
)
from phash_dagster.explain.question import Question
from phash_dagster.explain.reasons import because_of_image, because_of_record
from phash_dagster.explain.records import (
    Record,
    action_stories,
    budget_lines,
    context_of,
    decisions_of,
    image_stories,
    seen_events,
    wishes,
)
from phash_dagster.explain.stores import (
    Facts,
    LedgerFacts,
    read_action,
    read_actions,
    read_facts,
    read_outcomes,
)
from phash_dagster.ingest import IngestRecords
from phash_dagster.moderation.plan import wanted_claims
from phash_dagster.settings import Settings
from phash_dagster.warehouse import ImagePosts, Warehouse


class UnknownActionError(LookupError):
    """The ledger has no action of this number."""


class Explainer:
    """Explains what is in the stores of one pipeline.

    Every method raises:
        WarehouseBusyError: Another process kept the DuckDB file for long.
        LedgerError: The ledger cannot be read.
    """

    def __init__(
        self, settings: Settings, now: datetime, progress: Progress = lambda _: None
    ) -> None:
        self._settings = settings
        self._now = now
        self._progress = progress
        self._warehouse = Warehouse(settings.warehouse_path)
        self._archive = Archive(ImagePosts(settings.image_posts_dir), now)
        self._ingest = IngestRecords.under(settings.data_dir)

    def explain(self, question: Question) -> Explanation:
        """Everything about what is asked.

        Raises:
            UnknownActionError: There is no action of this number.
        """
        match question.kind:
            case "action":
                return self._action(question)
            case "account":
                return Explanation(asked=question.asked, stories=[self.account(question.value)])
            case "record":
                return Explanation(asked=question.asked, stories=[self.record(question.value)])
            case "key":
                return self._key(question)
            case "cid":
                return Explanation(asked=question.asked, stories=self._cid(question.value))

    def record(self, uri: str) -> PostStory:
        """Everything about a record."""
        record = Record(uri, self._archive.record(uri, self._progress))
        self._progress("looking up images, rules and actions")
        blob_cids = {row.blob_cid for row in record.images if row.blob_cid}
        facts = read_facts(
            self._warehouse, self._settings, blob_cids, did=record.did, hour=record.hour
        )
        judge = self._judge(facts)
        decisions = decisions_of(record, facts, judge)
        ledger = read_actions(
            self._settings,
            record.did,
            uri=uri,
            claims=wanted_claims(decisions, context_of(self._settings, self._now)),
            now=self._now,
        )
        story = PostStory(
            uri=uri,
            did=record.did,
            events=seen_events(record.own),
            cid=record.writing.cid if record.writing else None,
            gone=record.gone,
            account_events=seen_events(record.accounts),
            exempt=facts.exempt,
            rules=facts.rules,
            images=image_stories(record, facts, judge),
            wishes=wishes(decisions, self._settings, self._now, ledger),
            actions=self._action_stories(ledger),
            budgets=budget_lines(decisions, facts, ledger, self._settings),
        )
        if not story.events and not story.actions:
            searched = absence.of_record(
                uri, self._archive, self._ingest, self._settings, self._now
            )
            return replace(story, searched=searched, because=absence.because(searched))
        because = because_of_record(story, decisions, self._circumstances(facts))
        return replace(story, because=because)

    def account(self, did: str) -> AccountStory:
        """Everything about an account."""
        self._progress("looking through the posts of the account")
        events, images = self._archive.account(did), self._archive.images_of(did)
        facts = read_facts(
            self._warehouse, self._settings, {image.blob_cid for image in images}, did=did
        )
        ledger = read_actions(self._settings, did, now=self._now)
        story = account_story(
            did,
            seen_events(events),
            images,
            facts,
            self._judge(facts),
            self._action_stories(ledger),
            self._circumstances(facts),
        )
        if not events and not images and not ledger.actions:
            searched = absence.of_anything(self._archive, self._settings)
            return replace(story, searched=searched, because=absence.because(searched))
        return story

    def image(self, blob_cid: str) -> BlobStory:
        """Everything about an image, whoever posted it."""
        self._progress("looking for posts with the image")
        posted = self._archive.posted(blob_cid)
        facts = read_facts(self._warehouse, self._settings, {blob_cid}, count_actions_of=blob_cid)
        judge = self._judge(facts)
        judged = judge.judged(matches_in([(blob_cid, 0)], facts.images))
        story = BlobStory(
            image=image_story(blob_cid, facts.images, judge, judged),
            posts=posted.posts,
            accounts=posted.accounts,
            first_seen=posted.first_seen,
            last_seen=posted.last_seen,
            first_post=posted.first_post,
            last_post=posted.last_post,
            rules=facts.rules,
            actions=facts.image_actions,
        )
        if not posted.posts and not story.image.hashes and story.image.outcome is None:
            searched = absence.of_anything(self._archive, self._settings)
            return replace(story, searched=searched, because=absence.because(searched))
        return replace(story, because=because_of_image(story, self._circumstances(facts)))

    def _cid(self, cid: str) -> Sequence[Story]:
        """An image, or the records that have the CID themselves."""
        image = self.image(cid)
        if image.searched is None:
            return [image]
        self._progress("looking for records with this CID")
        return [self.record(uri) for uri in self._archive.records_of_cid(cid)] or [image]

    def _key(self, question: Question) -> Explanation:
        """Records with a key, whoever wrote them: handles are not looked up."""
        collection, _, rkey = question.value.partition("/")
        self._progress("looking for the record key")
        uris = self._archive.records_of_key(collection, rkey)
        if uris:
            stories: list[Story] = [self.record(uri) for uri in uris]
            return Explanation(asked=question.asked, stories=stories)
        # The handle stands where the DID should: it is only for telling what was looked for.
        uri = f"at://unknown/{question.value}"
        searched = absence.of_record(uri, self._archive, self._ingest, self._settings, self._now)
        because = absence.because(searched)
        story = PostStory(uri=uri, did="unknown", searched=searched, because=because)
        return Explanation(asked=question.asked, stories=[story])

    def _action(self, question: Question) -> Explanation:
        found = read_action(self._settings, int(question.value))
        if found is None:
            raise UnknownActionError(f"there is no action {question.value}")
        [own] = self._action_stories(found)
        story = self.record(own.action.source_uri)
        return Explanation(asked=question.asked, action=own, stories=[story])

    def _action_stories(self, ledger: LedgerFacts) -> list[ActionStory]:
        action_ids = [action.action_id for action in ledger.actions]
        outcomes, precision = read_outcomes(self._warehouse, action_ids)
        return action_stories(ledger, outcomes, precision)

    def _judge(self, facts: Facts) -> Judge:
        return Judge(facts.ruleset, self._now, self._settings.min_image_quality)

    def _circumstances(self, facts: Facts) -> Circumstances:
        return Circumstances(self._settings, facts.ruleset, facts.unread_lists)
