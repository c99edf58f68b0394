"""Dagster on SQLite or PostgreSQL, and a cursor where Dagster would store it."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_shared.error import SerializableErrorInfo

from phash_dagster.jetstream import Cursor


def _origin(name: str) -> RemoteInstigatorOrigin:
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(), location_name="phash_dagster")
    return RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)


def sqlite_instance(folder: Path) -> dg.DagsterInstance:
    """An instance with everything that Dagster keeps on one machine."""
    folder.mkdir()
    return dg.DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}})


def postgresql_instance(folder: Path, url: str) -> dg.DagsterInstance:
    """An instance with the storage of deploy/dagster.yaml."""
    folder.mkdir()
    return dg.DagsterInstance.from_ref(
        InstanceRef.from_dir(
            str(folder),
            overrides={
                "telemetry": {"enabled": False},
                "storage": {"postgres": {"postgres_url": url}},
            },
        )
    )


def store_cursor(instance: dg.DagsterInstance, cursor: Cursor) -> None:
    """Store the cursor of `jetstream_sensor`."""
    state = InstigatorState(
        _origin("jetstream_sensor"),
        InstigatorType.SENSOR,
        InstigatorStatus.RUNNING,
        SensorInstigatorData(cursor=cursor.to_json()),
    )
    if instance.get_instigator_state(state.instigator_origin_id, state.selector_id):
        instance.update_instigator_state(state)
    else:
        instance.add_instigator_state(state)


def add_ticks(
    instance: dg.DagsterInstance,
    name: str,
    ticks: Sequence[tuple[float, str | None]],
    *,
    of_schedule: bool = False,
) -> None:
    """Store ticks that ended: when, in unix seconds, and by which error. Of a sensor by default."""
    origin = _origin(name)
    kind = InstigatorType.SCHEDULE if of_schedule else InstigatorType.SENSOR
    data = ScheduleInstigatorData("0 6 * * *") if of_schedule else SensorInstigatorData()
    state = InstigatorState(origin, kind, InstigatorStatus.RUNNING, data)
    if not instance.get_instigator_state(state.instigator_origin_id, state.selector_id):
        instance.add_instigator_state(state)
    for timestamp, error in ticks:
        instance.create_tick(
            TickData(
                instigator_origin_id=origin.get_id(),
                instigator_name=name,
                instigator_type=kind,
                status=TickStatus.FAILURE if error else TickStatus.SKIPPED,
                timestamp=timestamp,
                selector_id=state.selector_id,
                error=SerializableErrorInfo(error, [], "Error") if error else None,
            )
        )
