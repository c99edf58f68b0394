"""Dagster's web server on a pipeline, asked as the UI in a browser asks it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from phash_dagster.sandbox.pipeline import LocalPipeline
from phash_dagster.stack import shipped_file, stop
from tests.ports import free_port

_SENSOR = """
query ($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) { ... on Sensor { sensorState { id status } } }
}
"""
_STOP_SENSOR = """
mutation ($id: String!) { stopSensor(id: $id) { __typename } }
"""
_LAUNCH = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_BACKFILL = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}
"""
_STALE = """
query ($asset: AssetKeyInput!, $partitions: [String!]!) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode {
      staleStatusByPartition(partitions: $partitions)
      staleCausesByPartition(partitions: $partitions) { key { path } }
    }
  }
}
"""


class WebServer:
    """The GraphQL interface that the UI talks to."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._url = f"{origin}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer without errors."""
        request = {"query": query, "variables": variables}
        answer = httpx.post(self._url, json=request, timeout=60).raise_for_status().json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def is_up(self) -> bool:
        """Whether it answers, and knows the code."""
        try:
            return self._sensor("rematch_sensor") is not None
        except httpx.TransportError:
            return False

    def switch_off(self, sensor: str) -> None:
        """What the switch under *Automation* does."""
        self.ask(_STOP_SENSOR, id=self._sensor(sensor)["id"])
        assert self._sensor(sensor)["status"] == "STOPPED"

    def _sensor(self, name: str) -> Any:
        selector = {
            "repositoryLocationName": "phash_dagster",
            "repositoryName": "__repository__",
            "sensorName": name,
        }
        return self.ask(_SENSOR, sensor=selector)["sensorOrError"].get("sensorState")

    def launch_backfill(self, assets: Sequence[str], partitions: Sequence[str]) -> str:
        """*Materialize* with these partitions selected; returns the id of the backfill."""
        params = {
            "assetSelection": [{"path": [asset]} for asset in assets],
            "partitionNames": list(partitions),
        }
        launched = self.ask(_LAUNCH, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def backfill_status(self, backfill_id: str) -> str:
        """As *Runs*, *Backfills* shows it."""
        found = self.ask(_BACKFILL, id=backfill_id)["partitionBackfillOrError"]
        return str(found["status"])

    def staleness(self, asset: str, partitions: Sequence[str]) -> list[tuple[str, list[str]]]:
        """What the asset's page says of its partitions: the status, and which assets caused it."""
        answer = self.ask(_STALE, asset={"path": [asset]}, partitions=list(partitions))
        node = answer["assetNodeOrError"]
        causes = [
            [cause["key"]["path"][-1] for cause in each] for each in node["staleCausesByPartition"]
        ]
        return list(zip(node["staleStatusByPartition"], causes, strict=True))


@contextmanager
def web_server(pipeline: LocalPipeline) -> Iterator[WebServer]:
    """Run the web server while the block runs."""
    port = free_port()
    program = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port)]
    log = pipeline.settings.data_dir / "webserver.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*program, "-w", str(shipped_file("workspace.yaml"))],
            env=pipeline.environment,
            cwd=pipeline.environment["DAGSTER_HOME"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            server = WebServer(f"http://127.0.0.1:{port}")
            pipeline.wait_until(server.is_up, f"the web server ({log})", seconds=120)
            yield server
        finally:
            stop(process)
