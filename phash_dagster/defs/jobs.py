"""The jobs: which assets run together, in one process."""

import dagster as dg

from phash_dagster.defs.tags import LANE

# A second process per step would add over a second to each of the three steps.
IN_PROCESS = dg.in_process_executor

# Selecting an asset selects its checks; this one has a job of its own (see `hash_checks`).
_GOLDEN_HASHES = dg.AssetCheckKey(dg.AssetKey("image_hashes"), "golden_hashes")

# A sensor evaluates these; in a job they would be steps of every run (see `action_health`).
_ACTION_CHECKS = dg.AssetSelection.checks(
    *(
        dg.AssetCheckKey(dg.AssetKey("moderation_actions"), name)
        for name in ("held_actions", "failed_actions", "quarantined_hashes")
    )
)

moderate_hour = dg.define_asset_job(
    "moderate_hour",
    selection=dg.AssetSelection.assets("image_hashes", "rule_matches", "moderation_actions")
    - dg.AssetSelection.checks(_GOLDEN_HASHES)
    - _ACTION_CHECKS,
    description=(
        "Hash, match and act on everything in an hour that was not processed yet. Requested by "
        "`jetstream_sensor` for each hour that a micro-batch touched."
    ),
    executor_def=IN_PROCESS,
    tags={"dagster/max_runtime": "900"},
)

rematch_hours = dg.define_asset_job(
    "rematch_hours",
    selection=dg.AssetSelection.assets("rule_matches", "moderation_actions") - _ACTION_CHECKS,
    description=(
        "Match the past with the rules in force and record what they say of it. Requested by "
        "`rematch_sensor` when the rules change; reads hashes, fetches nothing."
    ),
    executor_def=IN_PROCESS,
    tags={LANE: "backfill", "dagster/priority": "-1"},
)

load_rules = dg.define_asset_job(
    "load_rules",
    selection=dg.AssetSelection.assets("rules"),
    description="Read the rule files and put them in force. Requested by `rules_sensor`.",
    executor_def=IN_PROCESS,
)

write_report = dg.define_asset_job(
    "write_report",
    selection=dg.AssetSelection.assets("match_report"),
    description="Write the report of what was seen, matched and done in the last day.",
    executor_def=IN_PROCESS,
    # Live posts go first.
    tags={"dagster/priority": "-1", "dagster/max_runtime": "1800"},
)

write_weekly_report = dg.define_asset_job(
    "write_weekly_report",
    selection=dg.AssetSelection.assets("weekly_report"),
    description="Write the report of what was seen, matched and done in the last week.",
    executor_def=IN_PROCESS,
    tags={"dagster/priority": "-1", "dagster/max_runtime": "1800"},
)

read_exempt_lists = dg.define_asset_job(
    "read_exempt_lists",
    selection=dg.AssetSelection.assets("exempt_accounts"),
    description=(
        "Read the lists whose members nothing is done to. Requested by `exempt_lists_sensor`."
    ),
    executor_def=IN_PROCESS,
)

read_action_outcomes = dg.define_asset_job(
    "read_action_outcomes",
    selection=dg.AssetSelection.assets("action_outcomes"),
    description=(
        "Read back from Ozone what became of actions. Started by `outcomes_schedule`; needs no "
        "place in the pool `ozone`, and nothing waits for it."
    ),
    executor_def=IN_PROCESS,
    tags={"dagster/priority": "-1", "dagster/max_runtime": "900"},
)
