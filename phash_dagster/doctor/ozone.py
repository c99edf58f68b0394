"""The sending account: may it log in, may it moderate, and are the labels of the rules declared?"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final
from urllib.parse import unquote

import httpx
import msgspec

from phash_dagster.doctor.model import Finding, Patient, ok, problem, skipped, warning
from phash_dagster.doctor.network import get, reason
from phash_dagster.moderation.ozone_errors import (
    AnswerError,
    OzoneError,
    OzoneUnavailableError,
    event_error,
)
from phash_dagster.moderation.pds_session import OzoneAccount, PdsSession
from phash_dagster.rules import RulesError, load_folder
from phash_dagster.settings import Settings

_APP_PASSWORD: Final = 19
"""Characters of an app password: `xxxx-xxxx-xxxx-xxxx`."""

_ROLES: Final = {"roleAdmin": "admin", "roleModerator": "moderator", "roleTriage": "triage"}
_MAY_LABEL: Final = frozenset({"admin", "moderator"})

_GLOBAL_LABELS: Final = frozenset(
    {
        "!hide",
        "!warn",
        "!no-unauthenticated",
        "porn",
        "sexual",
        "nudity",
        "graphic-media",
        "gore",
    }
)
"""What clients know without a declaration: `LABELS` of @atproto/api."""


def look_at_account(patient: Patient) -> Iterator[Finding]:
    """Log in as the pipeline would, ask Ozone for the role, and read what the labeler declares.

    The session that the pipeline keeps is left alone: this one is new, and tries the password.
    """
    settings = patient.settings
    if missing := settings.missing_credentials:
        yield skipped("account", f"nothing is sent without {', '.join(missing)}")
        return
    labeler, services = _look_at_labeler(patient)
    yield labeler
    account = OzoneAccount.from_settings(settings)
    with closing(PdsSession(account, patient.around.clock)) as session:
        try:
            did = session.did()
        except OzoneError as error:
            yield _refused("login", error)
            yield skipped("role", "needs the login")
        else:
            yield _logged_in(settings, did)
            yield _look_at_role(settings, session)
    yield _look_at_labels(patient, services.get("atproto_pds") or settings.ozone_pds)


def _refused(about: str, error: OzoneError) -> Finding:
    if isinstance(error, OzoneUnavailableError):
        return problem(about, str(error), "Check OZONE_PDS, or wait until it is up again.")
    said, _, advice = str(error).rpartition(". ")
    return problem(about, said or str(error), f"{advice}." if said else "")


def _logged_in(settings: Settings, did: str) -> Finding:
    found = f"{settings.automod_handle} ({did})"
    password = settings.automod_password.get_secret_value()
    if len(password) != _APP_PASSWORD or password.count("-") != 3:
        return warning(
            "login",
            f"{found}, and AUTOMOD_PASSWORD does not look like an app password",
            "Make one in the account's settings, and use that: it can be taken back by itself.",
        )
    return ok("login", found)


def _look_at_role(settings: Settings, session: PdsSession) -> Finding:
    try:
        answer = session.query(
            "tools.ozone.server.getConfig", {}, f"{settings.labeler_did}#atproto_labeler"
        )
    except AnswerError as error:
        return _refused("role", event_error(error.answer))
    except OzoneError as error:
        return _refused("role", error)
    viewer = answer.get("viewer")
    named = str(viewer.get("role", "")) if isinstance(viewer, Mapping) else ""
    role = _ROLES.get(named.rpartition("#")[2], "")
    if role in _MAY_LABEL:
        return ok("role", f"{role} at {settings.labeler_did}")
    return problem(
        "role",
        f"{settings.automod_handle} is {role or 'no member'} at {settings.labeler_did}, and may "
        "not label",
        "Make the account a moderator in Ozone: Configure → Members.",
    )


def _look_at_labeler(patient: Patient) -> tuple[Finding, dict[str, str]]:
    """What its DID document says; and the services that it names, by name."""
    about, did = "labeler", patient.settings.labeler_did
    try:
        services = _services(_did_document(patient, did))
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError) as error:
        found = f"the DID document of {did} cannot be read ({reason(error)})"
        return problem(about, found, "Check LABELER_DID and PLC_ENDPOINT."), {}
    endpoint = services.get("atproto_labeler")
    if endpoint:
        return ok(about, f"{did}, Ozone at {endpoint}"), services
    found = f"{did} is no labeler: its DID document names no Ozone (#atproto_labeler)"
    advice = "Check LABELER_DID: it is the labeler's, not that of the account of AUTOMOD_HANDLE."
    return problem(about, found, advice), services


def _did_document(patient: Patient, did: str) -> Any:
    if did.startswith("did:web:"):
        host = unquote(did.removeprefix("did:web:"))
        url = f"https://{host}/.well-known/did.json"
    else:
        host = "plc"
        url = f"{patient.settings.plc_endpoint}/{did}"
    response = get(patient, host, url)
    response.raise_for_status()
    return msgspec.json.decode(response.content)


def _services(document: Any) -> dict[str, str]:
    """The endpoints of a DID document by the names of the services."""
    found = {}
    services = document.get("service") if isinstance(document, Mapping) else None
    for service in services if isinstance(services, list) else ():
        if isinstance(service, Mapping):
            name = str(service.get("id", "")).rpartition("#")[2]
            found[name] = str(service.get("serviceEndpoint", ""))
    return found


def _look_at_labels(patient: Patient, pds: str) -> Finding:
    """Whether the labeler declares the labels that rules give, so that people can subscribe."""
    wanted = _labels_of_rules(patient)
    if not wanted:
        return skipped("labels", "no rule labels anything")
    try:
        response = get(
            patient,
            pds,
            f"{pds}/xrpc/com.atproto.repo.getRecord?repo={patient.settings.labeler_did}"
            "&collection=app.bsky.labeler.service&rkey=self",
        )
        declared = _declared(response)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError) as error:
        return warning(
            "labels",
            f"what the labeler declares cannot be read ({reason(error)})",
            "Try again later.",
        )
    advice = "Declare them in Ozone under Configure → Labels, so that people can subscribe to them."
    if declared is None:
        return warning("labels", "the labeler has no record of what labels it gives", advice)
    if unknown := sorted(wanted - declared - _GLOBAL_LABELS):
        return warning(
            "labels", f"rules give labels that are not declared: {', '.join(unknown)}", advice
        )
    return ok("labels", f"all {len(wanted)} labels of the rules are declared")


def _declared(response: httpx.Response) -> set[str] | None:
    """The labels of a labeler's record; None if there is no such record.

    Raises:
        httpx.HTTPStatusError: The PDS does not say.
        ValueError: It says something else.
    """
    if response.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.NOT_FOUND):
        return None
    response.raise_for_status()
    answer = msgspec.json.decode(response.content, type=_Record)
    return set(answer.value.policies.labelValues)


class _Policies(msgspec.Struct):
    labelValues: list[str] = []  # noqa: N815 - the lexicon's name


class _Service(msgspec.Struct):
    policies: _Policies


class _Record(msgspec.Struct):
    value: _Service


def _labels_of_rules(patient: Patient) -> set[str]:
    settings = patient.settings
    try:
        loaded = load_folder(
            settings.rules_dir, settings.phash_hamming_threshold, patient.around.clock()
        )
    except RulesError:
        return set()  # the check of the rules says why
    return {rule.label for rule in loaded.ruleset.rules if rule.label_post or rule.label_account}
