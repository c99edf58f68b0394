"""What an explanation says. Plain values; `docs/explain.md` documents them as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from phash_dagster.explain.parts import ImageStory, RulesState, Searched, SeenEvent
from phash_dagster.moderation.actions import Action
from phash_dagster.moderation.outcomes import ActionOutcome
from phash_dagster.moderation.precision import RulePrecision


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Something that a rule in force asks for, were the post to be planned now.

    Attributes:
        rule_id: The rule that decides.
        rule_hash: By which hash.
        distance: In bits.
        event: What it would do.
        value: The label; empty for takedowns.
        subject: AT URI of the post, or DID of the account.
        lane: `live`, or `backfill` for a post from before the rule.
        mode: `live`, or `shadow`: recorded only.
        why_shadow: Which settings make it so.
        claimed_by: Number of the action that did the same already, or will.
    """

    rule_id: str
    rule_hash: str
    distance: int
    event: str
    value: str
    subject: str
    lane: str
    mode: str
    why_shadow: Sequence[str] = ()
    claimed_by: int | None = None


@dataclass(frozen=True, kw_only=True)
class ActionStory:
    """A row of the ledger and what people did about it.

    Attributes:
        action: The row.
        outcomes: What Ozone's events tell, oldest first.
        undone_by: The rows that take it back.
        precision: How often its rule hash was right at its distance.
    """

    action: Action
    outcomes: Sequence[ActionOutcome] = ()
    undone_by: Sequence[Action] = ()
    precision: RulePrecision | None = None


@dataclass(frozen=True, kw_only=True)
class PostStory:
    """Everything about a record.

    Attributes:
        uri: Its AT URI.
        did: Its author.
        events: What the stream told of it, oldest first.
        cid: CID of the record as it stands now.
        gone: Why nothing may be done to it: deleted, or the account is gone.
        account_events: What the stream told of the account, as far as was looked, oldest first.
        exempt: Why the account is exempt.
        rules: Which rules count.
        images: Those of the record as it stands now.
        wishes: What the rules in force ask for.
        actions: On the post, and on its author because of it.
        budgets: What is left of the budgets of the rules that decide, in words.
        searched: Where was looked, if nothing was found.
        because: What was done, or why nothing was, in one line.
        kind: `post`, to tell stories apart in JSON.
    """

    uri: str
    did: str
    events: Sequence[SeenEvent] = ()
    cid: str | None = None
    gone: str | None = None
    account_events: Sequence[SeenEvent] = ()
    exempt: str | None = None
    rules: RulesState = field(default_factory=RulesState)
    images: Sequence[ImageStory] = ()
    wishes: Sequence[Wish] = ()
    actions: Sequence[ActionStory] = ()
    budgets: Sequence[str] = ()
    searched: Searched | None = None
    because: str = ""
    kind: str = "post"


@dataclass(frozen=True, kw_only=True)
class MatchedPost:
    """A post of an account with an image near a rule hash.

    Attributes:
        uri: Its AT URI.
        time: When the stream told of it.
        rule_id: The rule of the nearest hash.
        rule_hash: That hash.
        distance: In bits.
        within: Whether that is within the rule's threshold as it is now.
    """

    uri: str
    time: datetime
    rule_id: str
    rule_hash: str
    distance: int
    within: bool


@dataclass(frozen=True, kw_only=True)
class AccountStory:
    """Everything about an account.

    Attributes:
        did: The account.
        events: What the stream told of its status, oldest first.
        gone: Why nothing may be done to it.
        exempt: Why it is exempt.
        posts: Records with images that were seen, and `images` in them.
        images: Distinct.
        first_seen: When the stream told of the first of them, and `last_seen` of the last.
        last_seen: See above.
        matched: Posts with matches, the latest first.
        actions: On the account and its posts, the latest first.
        searched: Where was looked, if nothing was found.
        because: What was done, or why nothing was, in one line.
        kind: `account`, to tell stories apart in JSON.
    """

    did: str
    events: Sequence[SeenEvent] = ()
    gone: str | None = None
    exempt: str | None = None
    posts: int = 0
    images: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    matched: Sequence[MatchedPost] = ()
    actions: Sequence[ActionStory] = ()
    searched: Searched | None = None
    because: str = ""
    kind: str = "account"


@dataclass(frozen=True, kw_only=True)
class ActionCount:
    """Actions because of an image that are alike."""

    event: str
    value: str
    state: str
    rule_id: str
    actions: int
    accounts: int


@dataclass(frozen=True, kw_only=True)
class BlobStory:
    """Everything about an image, whoever posted it.

    Attributes:
        image: What is known of it.
        posts: Records that had it, deleted ones too.
        accounts: Their authors.
        first_seen: When the stream told of the first of them.
        last_seen: And of the last.
        first_post: AT URI of the first.
        last_post: And of the last.
        rules: Which rules count.
        actions: Because of it, counted; by the warehouse's copy of the ledger.
        searched: Where was looked, if nothing was found.
        because: What was done, or why nothing was, in one line.
        kind: `image`, to tell stories apart in JSON.
    """

    image: ImageStory
    posts: int = 0
    accounts: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    first_post: str | None = None
    last_post: str | None = None
    rules: RulesState = field(default_factory=RulesState)
    actions: Sequence[ActionCount] = ()
    searched: Searched | None = None
    because: str = ""
    kind: str = "image"


Story = PostStory | AccountStory | BlobStory


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The answer to a question.

    Attributes:
        asked: What the person wrote.
        action: The action that was asked about, if one was.
        stories: One; several if a record key belongs to records of several accounts.
    """

    asked: str
    action: ActionStory | None = None
    stories: Sequence[Story] = ()

    @property
    def because(self) -> str:
        """The last line."""
        return "\n".join(dict.fromkeys(story.because for story in self.stories))
