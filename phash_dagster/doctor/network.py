"""The network: names, Jetstream, CDN, PLC directory, PDS of last resort, the alerts' webhook."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from phash_dagster.alerts.send import webhook_format
from phash_dagster.doctor.model import Finding, Patient, ok, problem, skipped, warning
from phash_dagster.http import client
from phash_dagster.jetstream import Batch, BatchLimits, Cursor, read_batch
from phash_dagster.settings import Settings

LISTEN_FROM: Final = timedelta(seconds=10)
"""How far back a host is asked to start, so that a quiet network has something to send."""

_MOST_ROWS: Final = 100_000
_CHECK_FIREWALL: Final = "Is the network up, and does a firewall let this machine out to it?"


def named_hosts(settings: Settings) -> Mapping[str, str]:
    """The hosts that the settings name, by the variable that does."""
    addresses = {
        "JETSTREAM_URL": [settings.jetstream_url],
        "JETSTREAM_FALLBACK_URLS": settings.jetstream_fallback_urls,
        "CDN_ENDPOINT": [settings.cdn_endpoint],
        "PLC_ENDPOINT": [settings.plc_endpoint],
        "PLC_FALLBACK_ENDPOINTS": settings.plc_fallback_endpoints,
        "PDS_ENDPOINT": [settings.pds_endpoint],
        "OZONE_PDS": [settings.ozone_pds],
    }
    found = {
        urlsplit(address).hostname or "": variable
        for variable, urls in addresses.items()
        for address in urls
        if address
    }
    return {host: variable for host, variable in found.items() if host}


def look_at_names(patient: Patient) -> Iterator[Finding]:
    """Whether every host that the settings name has an address."""
    hosts = named_hosts(patient.settings)
    lost = {}
    for host, variable in hosts.items():
        try:
            patient.around.addresses(host, 443)
        except (OSError, UnicodeError) as error:
            lost[host] = f"{host} ({variable}): {getattr(error, 'strerror', None) or error}"
    if not lost:
        yield ok("names", f"{len(hosts)} hosts have an address")
    elif len(lost) == len(hosts):
        yield problem(
            "names",
            f"no name resolves, such as {next(iter(lost.values()))}",
            "Is the network up? Does /etc/resolv.conf name a server that answers?",
        )
    else:
        yield problem(
            "names",
            f"do not resolve: {'; '.join(lost.values())}",
            "Check the spelling in the variable named.",
        )


def look_at_jetstream(url: str, *, spare: bool) -> Callable[[Patient], Iterator[Finding]]:
    """A check of one Jetstream host; a `spare` one is needed only where the first fails."""

    def look(patient: Patient) -> Iterator[Finding]:
        about = f"jetstream {urlsplit(url).netloc.rpartition('@')[2]}"
        batch = _listen(patient, url)
        found = _judge_jetstream(about, batch, patient)
        # The pipeline goes on without a spare host.
        yield _as_warning(found) if spare and found.status == "problem" else found

    return look


def _listen(patient: Patient, url: str) -> Batch:
    around = patient.around
    with tempfile.TemporaryDirectory(prefix="phash-dagster-doctor-") as dictionaries:
        return read_batch(
            [url],
            Cursor.at(around.clock() - LISTEN_FROM),
            wanted=frozenset(patient.settings.wanted_collections),
            limits=BatchLimits(around.listen_seconds, _MOST_ROWS),
            dictionaries=Path(dictionaries),
            now=around.clock,
        )


def _judge_jetstream(about: str, batch: Batch, patient: Patient) -> Finding:
    settings, seconds = patient.settings, patient.around.listen_seconds
    if batch.failures:
        return problem(about, batch.failures[0].reason, f"Check the address. {_CHECK_FIREWALL}")
    if batch.malformed and not batch.events:
        return problem(
            about,
            f"it sends {batch.malformed} frames that are no events of Jetstream",
            "Check the address: version 1 ends in /subscribe, version 2 in subscribeEvents.",
        )
    if batch.newest_us is None and batch.events:
        return warning(
            about,
            f"{batch.events} events, all later than this machine's clock",
            "See the clock, below.",
        )
    if batch.newest_us is None:
        return warning(
            about,
            f"connected, and nothing came within {seconds:g} s",
            "On a busy network try another host; on a quiet one this is usual.",
        )
    lag = patient.around.clock() - datetime.fromtimestamp(
        batch.newest_us / 1_000_000, patient.around.clock().tzinfo
    )
    found = f"{batch.events} events in {seconds:g} s; the newest is {lag.total_seconds():.0f} s old"
    if lag.total_seconds() > settings.max_lag_seconds:
        return warning(about, found, "The host is behind: try another one in JETSTREAM_URL.")
    return ok(about, found)


def _as_warning(found: Finding) -> Finding:
    return warning(found.about, found.found, f"{found.advice} It is a spare host.")


def look_at_cdn(patient: Patient) -> Iterator[Finding]:
    """Whether the CDN answers, whatever it says to a request for nothing."""
    endpoint = patient.settings.cdn_endpoint
    yield _answers(patient, "cdn", endpoint, f"{endpoint}/", "CDN_ENDPOINT")


def look_at_pds(patient: Patient) -> Iterator[Finding]:
    """The same for the PDS of last resort."""
    endpoint = patient.settings.pds_endpoint
    yield _answers(patient, "pds", endpoint, f"{endpoint}/xrpc/_health", "PDS_ENDPOINT")


def look_at_plc(patient: Patient) -> Iterator[Finding]:
    """The same for the PLC directory and its mirrors."""
    first, *mirrors = (patient.settings.plc_endpoint, *patient.settings.plc_fallback_endpoints)
    yield _answers(patient, "plc", first, f"{first}/_health", "PLC_ENDPOINT")
    for mirror in mirrors:
        found = _answers(
            patient, "plc mirror", mirror, f"{mirror}/_health", "PLC_FALLBACK_ENDPOINTS"
        )
        yield _as_warning(found) if found.status == "problem" else found


def _answers(patient: Patient, about: str, endpoint: str, url: str, variable: str) -> Finding:
    host = urlsplit(endpoint).netloc.rpartition("@")[2]
    start = time.monotonic()
    try:
        response = get(patient, host, url)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        return problem(
            about,
            f"{host} does not answer ({reason(error)})",
            f"Check {variable}. {_CHECK_FIREWALL}",
        )
    milliseconds = (time.monotonic() - start) * 1000
    if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        return warning(
            about,
            f"{host} answers {response.status_code}",
            "It has a fault of its own; what needs it waits and is tried again.",
        )
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return warning(about, f"{host} answers 429: too many requests", "Wait some minutes.")
    return ok(about, f"{host} answers within {milliseconds:.0f} ms")


def reason(error: Exception) -> str:
    """Why there was no usable answer, in the system's words where it has some."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return str(error) or type(error).__name__


def get(patient: Patient, server: str, url: str) -> httpx.Response:
    """Ask a host of the operator for something, and take note of its clock.

    Raises:
        httpx.HTTPError: It does not answer.
    """
    clock = patient.around.clock
    with client(patient.settings) as http:
        before = clock()
        response = http.get(url)
        now = before + (clock() - before) / 2
    date = response.headers.get("date", "")
    # A server that tells no time, or none that can be read, tells nothing about ours.
    with suppress(ValueError, TypeError, OverflowError):
        patient.skews.note(server, now - parsedate_to_datetime(date))
    return response


def look_at_webhook(patient: Patient) -> Iterator[Finding]:
    """Whether alerts have somewhere to go. Nothing is sent: that would be a message."""
    address = patient.settings.alert_webhook_url.get_secret_value()
    if not address:
        yield skipped("alerts", "ALERT_WEBHOOK_URL is not set: nobody is told what fails")
        return
    form = webhook_format(patient.settings)
    parts = urlsplit(address)
    try:
        patient.around.addresses(parts.hostname or "", parts.port or 443)
    except (OSError, UnicodeError):
        yield problem(
            "alerts",
            f"the host of the webhook ({form}) has no address",
            "Copy the address into ALERT_WEBHOOK_URL again.",
        )
        return
    yield ok("alerts", f"told as {form}; `phash-dagster alerts test` sends one to try")
