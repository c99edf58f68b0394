"""Alerts: what fails, whom it was told to, and in which words. Knows no Dagster and no clock."""

from phash_dagster.alerts.memory import Memory, after_delivery, due, observe, undelivered
from phash_dagster.alerts.model import Kind, Look, Notice, Policy, Severity, Trouble

__all__ = [
    "Kind",
    "Look",
    "Memory",
    "Notice",
    "Policy",
    "Severity",
    "Trouble",
    "after_delivery",
    "due",
    "observe",
    "undelivered",
]
