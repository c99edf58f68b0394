"""`exempt_accounts`: the members of the lists in EXEMPT_LISTS, read every hour."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from phash_dagster.defs.jobs import read_exempt_lists
from phash_dagster.defs.metadata import markdown_table
from phash_dagster.defs.resources import ClockParam, SettingsParam, WarehouseParam
from phash_dagster.moderation.exemptions import ListState, list_states, save_lists
from phash_dagster.settings import Settings

CHECK = "exempt_lists"

READ_EVERY = timedelta(hours=1)

TRY_AGAIN_AFTER = timedelta(minutes=10)
"""While something is wrong with a list."""


@dg.asset(
    check_specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset="exempt_accounts",
            description=(
                "Every list in EXEMPT_LISTS was read. If this fails, the members that were read "
                "last stay exempt; while a list was never read, nothing is sent at all."
            ),
        )
    ],
    description=(
        "Accounts that nothing is done to because a list in EXEMPT_LISTS has them. Their members "
        "are read from the PDS of each list's owner; a list that cannot be read, or that suddenly "
        "is empty, keeps the members that it had. The accounts in EXEMPT_DIDS come on top."
    ),
    group_name="moderation",
    tags={"contacts": "bluesky"},
    kinds={"duckdb", "bluesky"},
    owners=["team:moderation"],
)
def exempt_accounts(
    settings: SettingsParam, warehouse: WarehouseParam, clock: ClockParam
) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads it, and knows the bare one only
    """Read the lists."""
    # Imported here: HTTP is of no use to the processes that only list the assets.
    from phash_dagster.moderation.exempt_lists import ReadLists, open_list_reader, read_lists

    with warehouse.read() as connection:
        known = list_states(connection, settings)

    async def read() -> ReadLists:
        async with open_list_reader(settings, clock) as reader:
            return await read_lists(reader, settings.exempt_lists, known, clock())

    found = asyncio.run(read()) if settings.exempt_lists else ReadLists()
    with warehouse.write() as connection:
        save_lists(connection, found.states, found.members, settings)
    return dg.MaterializeResult(
        metadata={
            "lists": markdown_table(
                ("list", "members", "read at", "problem"),
                [
                    (state.list_uri, state.members, state.read_at, state.problem or "")
                    for state in found.states
                ],
            ),
            "members": sum(state.members or 0 for state in found.states),
            "exempt_dids": len(settings.exempt_dids),
        },
        check_results=[_check(found.states)],
    )


def _check(states: Sequence[ListState]) -> dg.AssetCheckResult:
    problems = [f"{state.list_uri}: {state.problem}." for state in states if state.problem]
    unread = [state.list_uri for state in states if state.read_at is None]
    if unread:
        problems.append(f"Nothing is sent until {', '.join(unread)} was read once.")
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR,
        description=" ".join(problems) or f"{len(states)} lists were read.",
        metadata={"lists": len(states), "with_problems": sum(map(_has_problem, states))},
    )


def _has_problem(state: ListState) -> bool:
    return state.problem is not None


@dg.sensor(
    job=read_exempt_lists,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Requests `read_exempt_lists` every hour, when EXEMPT_LISTS changes, and every ten minutes "
        "while a list cannot be read."
    ),
)
def exempt_lists_sensor(
    context: dg.SensorEvaluationContext,
    settings: SettingsParam,
    warehouse: WarehouseParam,
    clock: ClockParam,
) -> dg.SensorResult | dg.SkipReason:
    """The cursor is which lists were asked for last, and when."""
    now, lists = clock(), list(settings.exempt_lists)
    last = json.loads(context.cursor) if context.cursor else {"lists": []}
    if last["lists"] == lists and not (lists and _is_due(last, now, settings, warehouse)):
        return dg.SkipReason("The lists were read." if lists else "EXEMPT_LISTS is empty.")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"exempt/{now.isoformat()}")],
        cursor=json.dumps({"lists": lists, "asked_at": now.isoformat()}),
    )


def _is_due(
    last: dict[str, str], now: datetime, settings: Settings, warehouse: WarehouseParam
) -> bool:
    waited = now - datetime.fromisoformat(last["asked_at"])
    if waited < TRY_AGAIN_AFTER:
        return False
    return waited >= READ_EVERY or not _all_read(settings, warehouse)


def _all_read(settings: Settings, warehouse: WarehouseParam) -> bool:
    with warehouse.read() as connection:
        states = list_states(connection, settings)
    return len(states) == len(settings.exempt_lists) and not any(map(_has_problem, states))
