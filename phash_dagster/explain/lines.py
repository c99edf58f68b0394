"""What an explanation says beside its tables: lines with a name each. Pure."""

from collections.abc import Iterable, Iterator
from urllib.parse import quote

from phash_dagster.explain.model import AccountStory, ActionStory, BlobStory, PostStory
from phash_dagster.explain.parts import ImageStory, RulesState, Searched, SeenEvent
from phash_dagster.explain.words import count, gone_words, moment
from phash_dagster.reports.pages import post_link

Facts = Iterator[tuple[str, str]]
"""Lines with a name each."""


def post_facts(story: PostStory, ozone_url: str) -> Facts:
    """What is known of a record."""
    yield "record", story.uri
    yield from _links(story.uri, ozone_url)
    if story.searched:
        yield from _searched(story.searched)
    for event in story.events:
        yield "seen", _event(event)
    if story.events:
        yield "now", gone_words(story.gone) if story.gone else f"there, as {story.cid}"
    for event in story.account_events:
        yield "account", _event(event)
    yield "exempt", story.exempt or "no"
    yield from _rules(story.rules)
    for line in story.budgets:
        yield "budget", line


def _links(subject: str, ozone_url: str) -> Facts:
    if subject.startswith(("at://did:", "did:")):
        yield "page", post_link(subject)
        if ozone_url:
            yield "Ozone", _ozone_page(subject, ozone_url)


def _ozone_page(subject: str, ozone_url: str) -> str:
    return f"{ozone_url}/repositories/{quote(subject.removeprefix('at://'), safe='/:')}"


def _event(event: SeenEvent) -> str:
    claimed = f", created at {event.created_at} by its author" if event.created_at else ""
    cid = f" of {event.cid}" if event.cid else ""
    operation = event.operation.replace("_", " ")
    return f"{moment(event.time)}: {operation}{cid}, told by {event.host}{claimed} ({event.file})"


def _rules(rules: RulesState) -> Facts:
    if rules.version is None:
        yield "rules", "none are in force"
        return
    yield "rules", f"{short(rules.version)} in force since {moment(rules.loaded_at)}"
    if rules.hour is None:
        return
    if rules.hour_matched_with is None:
        yield "hour", f"{rules.hour}, not looked at yet"
    else:
        yield (
            "hour",
            (
                f"{rules.hour}, looked at with rules {short(rules.hour_matched_with)} at "
                f"{moment(rules.hour_matched_at)}"
            ),
        )


def _searched(searched: Searched) -> Facts:
    if searched.hours:
        hours = f"{count(searched.hours, 'hour')} of posts, the first of {searched.first_hour} UTC"
        yield "searched", f"{hours}, the last of {searched.last_hour} UTC, and the ledger"
    for reason in searched.reasons:
        yield "cause" if searched.certain else "perhaps", reason


def short(version: str) -> str:
    """A rules version as people see it."""
    return version[:12]


def image_facts(image: ImageStory, of: int) -> Facts:
    """What is known of an image, one of so many."""
    place = "" if image.position is None or of < 2 else f" {image.position + 1} of {of}"
    claims = ", ".join(
        str(part)
        for part in (
            image.embed_type,
            image.mime_type,
            f"{image.size_bytes:,} bytes" if image.size_bytes is not None else None,
        )
        if part
    )
    yield f"image{place}", f"{image.blob_cid}" + (f" ({claims})" if claims else "")
    yield "outcome", _outcome(image)
    for each in image.asked_with:
        again = f", next attempt {moment(each.next_retry_at)}" if each.next_retry_at else ""
        yield (
            "tried",
            (f"{moment(each.tried_at)} with {each.did}: {each.outcome}, {each.reason}{again}"),
        )
    if not image.matches and image.nearest:
        nearest = image.nearest
        yield (
            "nearest",
            (
                f"{nearest.distance} bits: {nearest.rule_hash} of rule {nearest.rule_id}, whose "
                f"threshold is {nearest.threshold}"
            ),
        )


def _outcome(image: ImageStory) -> str:
    if image.outcome is None:
        return "not tried yet"
    tried = f"after {count(image.attempts, 'attempt')}, {moment(image.updated_at)}"
    if image.outcome == "hashed":
        size = f"{image.width} x {image.height} {image.format}"
        rendition = f" ({image.rendition})" if image.rendition else ""
        return f"hashed, {size}, from the {image.source}{rendition}, {tried}"
    again = f", next attempt {moment(image.next_retry_at)}" if image.next_retry_at else ""
    return f"{image.outcome}: {image.reason}, {tried}{again}"


def afterwards(story: ActionStory, ozone_url: str) -> Iterator[str]:
    """What happened to an action after it was planned."""
    action = story.action
    if action.sent_at:
        where = f", {_ozone_page(action.subject, ozone_url)}" if ozone_url else ""
        yield f"sent at {moment(action.sent_at)} as Ozone's event {action.ozone_event_id}{where}"
    if action.review:
        yield f"{action.review.value} by {action.reviewed_by} at {moment(action.reviewed_at)}"
    for outcome in story.outcomes:
        what = outcome.outcome.replace("_", " ")
        comment = f": {outcome.comment}" if outcome.comment else ""
        by = f"{outcome.by_did} ({outcome.by_kind})"
        yield f"{what} by {by} at {moment(outcome.happened_at)}{comment}"
    for undo in story.undone_by:
        yield f"action {undo.action_id} takes it back: {undo.state.value}"


def precision(actions: Iterable[ActionStory]) -> Facts:
    """How often the rule hashes of these actions were right, each once."""
    found = {each.precision for each in actions if each.precision}
    for row in sorted(found):
        yield (
            f"rule {row.rule_id}",
            (
                f"{row.rule_hash} at {count(row.distance, 'bit')}: {row.actions:,} sent, "
                f"{row.reversed_by_people:,} taken back by people, {row.undone:,} undone, "
                f"{row.appealed:,} appealed; right in at least {row.precision_low:.0%} of cases"
            ),
        )


def action_facts(story: ActionStory) -> Facts:
    """What the ledger holds of an action."""
    action = story.action
    yield f"action {action.action_id}", f"{action.event.value} {action.value}".strip()
    yield "state", action.state.value + (f": {action.reason}" if action.reason else "")
    yield "subject", action.subject
    yield "because of", f"{action.source_uri}, images {', '.join(action.blob_cids)}"
    yield (
        "rule",
        (
            f"{action.rule_id} of version {short(action.rule_version)}, hash {action.rule_hash}, "
            f"{action.distance} bits away"
        ),
    )
    yield "planned", f"{moment(action.planned_at)}, lane {action.lane}, mode {action.mode}"
    yield "run", f"{action.run_id}, batch {action.batch_id}"
    yield "attempts", str(action.attempts)
    if action.undoes:
        yield "undoes", f"action {action.undoes}"
    for line in afterwards(story, ""):
        yield "then", line
    yield from precision([story])
    yield "", ""


def account_facts(story: AccountStory, ozone_url: str) -> Facts:
    """What is known of an account."""
    yield "account", story.did
    yield from _links(story.did, ozone_url)
    if story.searched:
        yield from _searched(story.searched)
    for event in story.events:
        yield "seen", _event(event)
    yield "exempt", story.exempt or "no"
    if story.gone:
        yield "now", gone_words(story.gone)
    if story.posts:
        yield (
            "posts",
            (
                f"{story.posts:,} with {count(story.images, 'different image')}, from "
                f"{moment(story.first_seen)} to {moment(story.last_seen)}"
            ),
        )


def blob_facts(story: BlobStory) -> Facts:
    """What is known of an image, whoever posted it."""
    if story.searched:
        yield from _searched(story.searched)
    if story.posts:
        yield "posts", f"{story.posts:,}, by {count(story.accounts, 'account')}"
        yield "first", f"{moment(story.first_seen)}: {story.first_post}"
        yield "last", f"{moment(story.last_seen)}: {story.last_post}"
    yield from _rules(story.rules)
