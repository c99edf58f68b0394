"""Dagster on SQLite, and a cursor where Dagster would store it."""

from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from phash_dagster.jetstream import Cursor

_ORIGIN = RemoteInstigatorOrigin(
    RemoteRepositoryOrigin(
        InProcessCodeLocationOrigin(LoadableTargetOrigin(), location_name="phash_dagster"),
        "__repository__",
    ),
    "jetstream_sensor",
)


def sqlite_instance(folder: Path) -> dg.DagsterInstance:
    """An instance with everything that Dagster keeps on one machine."""
    folder.mkdir()
    return dg.DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}})


def store_cursor(instance: dg.DagsterInstance, cursor: Cursor) -> None:
    """Store the cursor of `jetstream_sensor`."""
    state = InstigatorState(
        _ORIGIN,
        InstigatorType.SENSOR,
        InstigatorStatus.RUNNING,
        SensorInstigatorData(cursor=cursor.to_json()),
    )
    if instance.get_instigator_state(state.instigator_origin_id, state.selector_id):
        instance.update_instigator_state(state)
    else:
        instance.add_instigator_state(state)
