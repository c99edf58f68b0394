"""Why an action would only be recorded. Pure."""

from phash_dagster.settings import Settings


def shadow_causes(
    settings: Settings, *, rule_mode: str, rule_backfill: str, lane: str
) -> tuple[str, ...]:
    """What keeps an action of a rule in shadow mode, by the settings as they are; empty: nothing.

    Args:
        settings: The pipeline's.
        rule_mode: `mode` of the rule.
        rule_backfill: `backfill` of the rule.
        lane: Lane of the action.
    """
    causes = {
        "the rule's mode": rule_mode == "shadow",
        "the rule's backfill": lane == "backfill" and rule_backfill in ("none", "shadow"),
        "MODERATION_MODE": settings.moderation_mode == "shadow",
        "missing credentials": bool(settings.missing_credentials),
        "BACKFILL_MODE": lane == "backfill" and settings.backfill_mode == "shadow",
    }
    return tuple(name for name, holds in causes.items() if holds)
