"""What Dagster has stored about `jetstream_sensor`: its position, and its failed ticks."""

from datetime import datetime

import dagster as dg
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorTick,
    InstigatorType,
    SensorInstigatorData,
    TickStatus,
)

from phash_dagster.jetstream import Cursor, CursorError

NAME = "jetstream_sensor"


def stored_cursor(instance: dg.DagsterInstance) -> Cursor | None:
    """The position that the next tick reads from; None before the first tick.

    A cursor that cannot be read counts as none: the sensor's own ticks say so.
    """
    cursors = _cursors(instance)
    return cursors[0] if cursors else None


def positions_in_use(instance: dg.DagsterInstance) -> frozenset[str]:
    """The names of positions that a batch may still be read from again.

    More than one only where the code location was renamed and the state of the old one is left.
    """
    return frozenset(cursor.name for cursor in _cursors(instance))


def failed_ticks(instance: dg.DagsterInstance, *, since: datetime) -> list[InstigatorTick]:
    """The ticks that failed since then, the latest first."""
    return [
        tick
        for state in _states(instance)
        for tick in instance.get_ticks(
            state.instigator_origin_id,
            state.selector_id,
            after=since.timestamp(),
            statuses=[TickStatus.FAILURE],
        )
    ]


def _cursors(instance: dg.DagsterInstance) -> list[Cursor]:
    """The stored cursors, the one used last first."""
    cursors = []
    for state in _states(instance):
        data = state.instigator_data
        if isinstance(data, SensorInstigatorData) and data.cursor:
            try:
                cursors.append(
                    (data.last_tick_start_timestamp or 0.0, Cursor.from_json(data.cursor))
                )
            except CursorError:
                continue
    return [cursor for _, cursor in sorted(cursors, key=lambda one: one[0], reverse=True)]


def _states(instance: dg.DagsterInstance) -> list[InstigatorState]:
    return [
        state
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        if state.instigator_name == NAME
    ]
