"""The real pipeline beside a sandbox: its own data folder, its own settings, the real daemon."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen

from dagster import DagsterRunStatus, RunsFilter

from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.rules import RuleSet, current_version
from phash_dagster.settings import Settings, settings_from
from phash_dagster.stack import dagster_instance, prepare_home, running_daemon
from phash_dagster.warehouse import ImagePosts, Warehouse

_UNFINISHED = (
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)


class PipelineTimeoutError(TimeoutError):
    """The pipeline did not do in time what was waited for."""


@dataclass(frozen=True)
class LocalPipeline:
    """A pipeline with everything under one folder.

    Attributes:
        settings: What its processes will read from `environment`.
        environment: The environment of its processes.
    """

    settings: Settings
    environment: Mapping[str, str]

    @classmethod
    def under(cls, folder: Path, variables: Mapping[str, str]) -> "LocalPipeline":
        """A pipeline in `folder` with these settings, and none of the user's own.

        The user's credentials and `.env` are out of its sight, so that nothing it does can reach
        a real labeler.
        """
        rules = folder / "rules"
        rules.mkdir(parents=True, exist_ok=True)
        own = {name.upper() for name in Settings.model_fields} | {"DAGSTER_HOME"}
        inherited = {name: value for name, value in os.environ.items() if name not in own}
        chosen = {"DATA_DIR": str(folder / "data"), "RULES_DIR": str(rules), **variables}
        settings = settings_from(chosen)
        return cls(settings, prepare_home(settings, {**inherited, **chosen}))

    @property
    def log(self) -> Path:
        """What the daemon and its runs print."""
        return self.settings.data_dir / "daemon.log"

    @property
    def warehouse(self) -> Warehouse:
        """The pipeline's DuckDB file."""
        return Warehouse(self.settings.warehouse_path)

    @property
    def posts(self) -> ImagePosts:
        """The pipeline's Parquet files."""
        return ImagePosts(self.settings.image_posts_dir)

    def daemon(self) -> AbstractContextManager["Popen[bytes]"]:
        """Run the daemon, as after a power cut if it was killed before."""
        return running_daemon(self.settings, self.environment, log=self.log)

    def rules_in_force(self) -> RuleSet | None:
        """The rules that the pipeline uses now."""
        with self.warehouse.read() as connection:
            return current_version(connection)

    def actions(self) -> list[Action]:
        """Every row of the ledger, in the order of planning."""
        with Ledger(self.settings.effective_ledger_url) as ledger:
            return ledger.changed_since(datetime(1970, 1, 1, tzinfo=UTC))

    def has_cursor(self) -> bool:
        """Whether the Jetstream sensor has stored where it starts."""
        with dagster_instance(self.environment) as instance:
            states = instance.all_instigator_state()
            return any(
                state.instigator_name == "jetstream_sensor"
                and getattr(state.instigator_data, "cursor", None)
                for state in states
            )

    def is_idle(self) -> bool:
        """Whether no run is queued or in progress."""
        with dagster_instance(self.environment) as instance:
            return instance.get_runs_count(RunsFilter(statuses=list(_UNFINISHED))) == 0

    def is_settled(self) -> bool:
        """Whether nothing is left to send and nothing is left to run."""
        unsent = (State.PLANNED, State.SENDING)
        return not any(action.state in unsent for action in self.actions()) and self.is_idle()

    def outcomes(self) -> dict[str, str]:
        """The outcome of each image that was tried, by CID."""
        with self.warehouse.read() as connection:
            return dict(
                connection.execute("FROM image_outcomes SELECT blob_cid, outcome").fetchall()
            )

    def wait_until(
        self, condition: Callable[[], bool], what: str, *, seconds: float, every: float = 1.0
    ) -> None:
        """Wait for a condition.

        Raises:
            PipelineTimeoutError: It did not come true in time.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise PipelineTimeoutError(
                    f"{what}: not within {seconds:g} s. The daemon's log is {self.log}"
                )
            time.sleep(every)
