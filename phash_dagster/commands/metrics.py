"""`phash-dagster metrics`: what the pipeline did, and how it is, for Prometheus."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from phash_dagster.commands.shared import FAILED, settings_or_exit

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

_NOT_ALL: Final = 1
_ADDRESS: Final = re.compile(r"(?:(?P<host>[^:\s]+|\[[0-9A-Fa-f:.]+\]):)?(?P<port>[0-9]{1,5})")


def metrics(
    textfile: Annotated[
        Path | None,
        typer.Option(
            help="Write them to this file instead, in one step; its name ends with .prom.",
            dir_okay=False,
        ),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Answer scrapes until stopped. Without HOST on 127.0.0.1: there is no login.",
        ),
    ] = None,
) -> None:
    """Print metrics for Prometheus: counters of what was done, and how it is now.

    The exit code is 1 if a store could not be read; the metrics of the others are there.
    """
    if textfile and serve:
        raise typer.BadParameter("--textfile and --serve do not go together")
    problems: dict[str, str] = {}
    if serve:
        host, port = _address(serve)
        _serve(_registry({}, tell_once=True), host, port)
        return
    registry = _registry(problems, tell_once=False)
    if textfile:
        _write(registry, textfile)
    else:
        from prometheus_client.exposition import generate_latest

        typer.echo(generate_latest(registry).decode(), nl=False)
    if problems:
        raise typer.Exit(_NOT_ALL)


def _registry(problems: dict[str, str], *, tell_once: bool) -> "CollectorRegistry":
    from phash_dagster.clock import utc_now
    from phash_dagster.metrics.collector import PipelineCollector, registry_of
    from phash_dagster.metrics.sources import sources_of

    def tell(name: str, why: str) -> None:
        if not (tell_once and problems.get(name) == why):
            typer.echo(f"phash-dagster: no metrics of the {name}: {why}", err=True)
        problems[name] = why

    return registry_of(PipelineCollector(sources_of(settings_or_exit(), utc_now), on_problem=tell))


def _write(registry: "CollectorRegistry", path: Path) -> None:
    from prometheus_client.exposition import write_to_textfile

    if path.suffix != ".prom":
        raise typer.BadParameter(
            f"{path.name}: node_exporter reads files that end with .prom", param_hint="--textfile"
        )
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        typer.echo(f"phash-dagster: {path} cannot be written ({error.strerror})", err=True)
        raise typer.Exit(FAILED) from None


def _address(text: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"]) if match else -1
    if match is None or port > 65535:
        raise typer.BadParameter(
            f"{text}: write a port, or host and port, e.g. 9477 or 127.0.0.1:9477",
            param_hint="--serve",
        )
    return (match["host"] or "127.0.0.1").strip("[]"), port


def _serve(registry: "CollectorRegistry", host: str, port: int) -> None:
    from prometheus_client.exposition import start_http_server

    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        typer.echo(f"phash-dagster: cannot listen on {host}:{port} ({error.strerror})", err=True)
        raise typer.Exit(FAILED) from None
    name = f"[{host}]" if ":" in host else host
    typer.echo(f"Metrics are on http://{name}:{server.server_port}/metrics")
    try:
        thread.join()
    except KeyboardInterrupt:
        server.shutdown()
