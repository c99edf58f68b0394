"""Rules: one entry of a rule file each. Their model, loading and checking, versions and storage."""

from phash_dagster.rules.load import load_rules, rule_files
from phash_dagster.rules.model import Rule, RuleSet
from phash_dagster.rules.problems import RuleProblem, RulesError
from phash_dagster.rules.store import current_version, save_version

__all__ = [
    "Rule",
    "RuleProblem",
    "RuleSet",
    "RulesError",
    "current_version",
    "load_rules",
    "rule_files",
    "save_version",
]
