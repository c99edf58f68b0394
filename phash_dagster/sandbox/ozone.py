"""Ozone over HTTP: emitEvent, queryEvents, queryStatuses, queryLabels, getConfig."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from phash_dagster.sandbox.identifiers import is_did, microseconds, timestamp
from phash_dagster.sandbox.labels import Label
from phash_dagster.sandbox.moderation import Role
from phash_dagster.sandbox.moderation_input import EVENT_FIELDS, PREFIX, parse_emit_input
from phash_dagster.sandbox.moderation_model import ModerationEvent, SubjectStatus
from phash_dagster.sandbox.world import World
from phash_dagster.sandbox.xrpc import (
    Method,
    Parameters,
    XrpcError,
    bearer_token,
    invalid_request,
    json_body,
    xrpc_route,
)

TRANSACTION_SECONDS = 0.01
"""How long an event takes between being checked and being stored; meanwhile others are checked."""

EVENT_TYPES = frozenset(EVENT_FIELDS) | {
    PREFIX + name
    for name in (
        "modEventEmail",
        "modEventDivert",
        "accountEvent",
        "identityEvent",
        "recordEvent",
        "ageAssuranceEvent",
        "ageAssuranceOverrideEvent",
        "ageAssurancePurgeEvent",
        "revokeAccountCredentialsEvent",
        "scheduleTakedownEvent",
        "cancelScheduledTakedownEvent",
    )
}
"""What may be asked for; what is emitted may be of any type."""

Event = ModerationEvent
_Test = Callable[[Event], bool]


def ozone_app(world: World) -> Starlette:
    """The moderation service of the network's labeler."""
    ozone = _Ozone(world)
    methods = {
        "tools.ozone.moderation.emitEvent": Method("POST", ozone.emit_event),
        "tools.ozone.moderation.queryEvents": Method("GET", ozone.query_events),
        "tools.ozone.moderation.queryStatuses": Method("GET", ozone.query_statuses),
        "tools.ozone.server.getConfig": Method("GET", ozone.get_config),
        "com.atproto.label.queryLabels": Method("GET", ozone.query_labels),
    }
    return Starlette(routes=[xrpc_route(methods, _not_implemented)])


async def _not_implemented(_: Request) -> Response:
    raise XrpcError(501, "MethodNotImplemented", "Method Not Implemented")


class _Ozone:
    def __init__(self, world: World) -> None:
        self._world = world
        self._moderation = world.moderation

    async def emit_event(self, request: Request) -> Response:
        caller, role = self._caller(request)
        given = parse_emit_input(await json_body(request))
        self._moderation.check(given, role)
        await asyncio.sleep(TRANSACTION_SECONDS)
        return JSONResponse(self._moderation.log(given, caller).to_json())

    async def query_events(self, request: Request) -> Response:
        self._caller(request)
        parameters = Parameters(request)
        limit = parameters.limit(50, 100)
        descending = parameters.choice("sortDirection", ("desc", "asc")) == "desc"
        tests = list(_event_tests(parameters))
        start = _event_cursor(parameters.string("cursor"))
        found = [e for e in self._moderation.events() if all(test(e) for test in tests)]
        found.sort(key=lambda event: event.sort_key, reverse=descending)
        if start is not None:
            found = [e for e in found if (e.sort_key < start) == descending and e.sort_key != start]
        page = found[:limit]
        return JSONResponse(
            {
                **_cursor("::".join(map(str, page[-1].sort_key)) if page else None),
                "events": [self._with_handles(event) for event in page],
            }
        )

    async def query_statuses(self, request: Request) -> Response:
        self._caller(request)
        parameters = Parameters(request)
        limit = parameters.limit(50, 100)
        found = [s for s in self._moderation.statuses() if _status_matches(parameters, s)]
        found.sort(key=_status_order, reverse=True)
        last = parameters.string("cursor")
        names = [_status_cursor(status) for status in found]
        if last is not None:
            if last not in names:
                raise invalid_request("Malformed cursor")
            found = found[names.index(last) + 1 :]
        page = found[:limit]
        return JSONResponse(
            {
                **_cursor(_status_cursor(page[-1]) if page else None),
                "subjectStatuses": [status.to_json() for status in page],
            }
        )

    async def query_labels(self, request: Request) -> Response:
        parameters = Parameters(request)
        patterns, sources = parameters.strings("uriPatterns"), parameters.strings("sources")
        limit = parameters.limit(50, 250)
        if not patterns:
            raise invalid_request(
                'Invalid com.atproto.label.queryLabels params: Missing required key "uriPatterns"'
            )
        matches = [_pattern(pattern) for pattern in patterns]
        after = _label_cursor(parameters.string("cursor"))
        found = [
            label
            for label in self._moderation.labels.all()
            if label.id > after
            and any(match(label) for match in matches)
            and (not sources or label.source in sources)
        ][:limit]
        return JSONResponse(
            {
                **_cursor(str(found[-1].id) if found else None),
                "labels": [label.to_json() for label in found],
            }
        )

    async def get_config(self, request: Request) -> Response:
        _, role = self._caller(request)
        services = {"pds": {"url": self._world.pds_url}, "appview": {"url": self._world.pds_url}}
        viewer = {"role": f"tools.ozone.team.defs#role{role.capitalize()}"}
        return JSONResponse({**services, "blobDivert": {}, "chat": {}, "viewer": viewer})

    def _caller(self, request: Request) -> tuple[str, Role]:
        did = self._world.sessions.caller_of(
            bearer_token(request), self._moderation.labeler_did, request.path_params["nsid"]
        )
        return did, self._moderation.member(did)

    def _with_handles(self, event: Event) -> dict[str, Any]:
        view = event.to_json()
        for name, did in (
            ("subjectHandle", event.subject.did),
            ("creatorHandle", event.created_by),
        ):
            account = self._world.repositories.find(did)
            if account is not None:
                view[name] = account.handle
        return view


def _cursor(value: str | None) -> dict[str, str]:
    """The real Ozone names a cursor whenever a page has an entry, be it the last page or not."""
    return {} if value is None else {"cursor": value}


def _event_tests(parameters: Parameters) -> Iterable[_Test]:
    """One test for each filter that is set."""
    types = parameters.strings("types")
    if any(name not in EVENT_TYPES for name in types):
        raise invalid_request("Invalid event type")
    if types:
        yield lambda event: event.type in types
    subject = parameters.string("subject", "uri")
    if subject is not None:
        yield _about(subject, everything=bool(parameters.boolean("includeAllUserRecords")))
    # The real Ozone keeps times as texts and compares them as such: `…:33Z` is after `…:33.326Z`.
    after = parameters.string("createdAfter", "datetime")
    before = parameters.string("createdBefore", "datetime")
    if after is not None:
        yield lambda event: timestamp(event.created_at) >= after
    if before is not None:
        yield lambda event: timestamp(event.created_at) <= before
    created_by = parameters.string("createdBy", "did")
    if created_by is not None:
        yield lambda event: event.created_by == created_by
    tools = parameters.strings("modTool")
    if tools:
        yield lambda event: (event.mod_tool or {}).get("name") in tools
    batch_id = parameters.string("batchId")
    if batch_id is not None:
        yield lambda event: (event.mod_tool or {}).get("meta", {}).get("batchId") == batch_id
    for name, key in (("addedLabels", "createLabelVals"), ("addedTags", "add")):
        wanted = set(parameters.strings(name))
        if wanted:
            yield _contains(key, wanted)


def _about(subject: str, *, everything: bool) -> _Test:
    if subject.startswith("at://"):
        did = subject.removeprefix("at://").partition("/")[0]
        return lambda event: (
            event.subject.did == did and (everything or event.subject.uri == subject)
        )
    if not is_did(subject):
        return lambda _: False
    return lambda event: event.subject.did == subject and (everything or event.subject.uri is None)


def _contains(key: str, wanted: set[str]) -> _Test:
    return lambda event: wanted <= set(event.event.get(key, ()))


def _event_cursor(text: str | None) -> tuple[int, int] | None:
    if not text:
        return None
    time, _, number = text.partition("::")
    if not time.isdigit() or not number.isdigit():
        raise invalid_request("Malformed cursor")
    return int(time), int(number)


def _status_matches(parameters: Parameters, status: SubjectStatus) -> bool:
    subject = parameters.string("subject", "uri")
    everything = parameters.boolean("includeAllUserRecords")
    taken_down = parameters.boolean("takendown")
    review_state = parameters.string("reviewState")
    return (
        (
            subject is None
            or status.subject.key == subject
            or bool(everything and status.subject.did == subject)
        )
        and (not taken_down or status.taken_down)
        and (review_state is None or PREFIX + status.review_state == review_state)
    )


def _status_order(status: SubjectStatus) -> tuple[int, int]:
    """Reported last comes first; what was never reported comes at the end."""
    reported = status.last_reported_at
    return (0 if reported is None else microseconds(reported) // 1000), status.id


def _status_cursor(status: SubjectStatus) -> str:
    time, number = _status_order(status)
    return f"{time or ''}::{number}"


def _label_cursor(text: str | None) -> int:
    if not text:
        return 0
    if not text.isdigit():
        raise invalid_request("invalid cursor")
    return int(text)


def _pattern(pattern: str) -> Callable[[Label], bool]:
    """A URI, or the beginning of one followed by `*`."""
    if "*" not in pattern:
        return lambda label: label.uri == pattern
    prefix = pattern[:-1]
    if "*" in prefix:
        raise invalid_request(f"invalid pattern: {pattern}")
    return lambda label: label.uri.startswith(prefix)
