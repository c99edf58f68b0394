"""Cleans up after a power cut: runs that were interrupted with the whole stack.

While the stack is up, Dagster itself notices a run whose process died. When everything died at
once nobody is left who would, and such runs would hold their places in the queue and the slot of
the pool `ozone`. So whoever starts the stack on one machine first calls `fail_interrupted_runs`.
"""

import dagster as dg

_LAUNCHED = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def fail_interrupted_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark every run that was in progress as failed, so that it is retried; return their ids.

    Call it only where no run can be in progress: before the daemon of the only machine starts.
    """
    runs = instance.get_runs(dg.RunsFilter(statuses=_LAUNCHED))
    for run in runs:
        instance.report_run_failed(run, "The pipeline was stopped while this run was in progress.")
    storage = instance.event_log_storage
    # Slots of runs that are not known, too: Dagster would never free them.
    for run_id in storage.get_concurrency_run_ids():
        storage.free_concurrency_slots_for_run(run_id)
    return [run.run_id for run in runs]
