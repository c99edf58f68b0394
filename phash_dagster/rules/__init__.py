"""Rules: one entry of a rule file each. Their model, loading and checking, versions and storage."""

from phash_dagster.rules.dangers import Danger, Place
from phash_dagster.rules.difference import Change, RuleHash, difference, hashes_to_match
from phash_dagster.rules.load import (
    LoadedRules,
    are_as_read,
    is_file,
    load_folder,
    load_paths,
    rule_files,
)
from phash_dagster.rules.model import Rule, RuleSet, SetAside
from phash_dagster.rules.origin import Commit, Origin, SourceFile, read_commit
from phash_dagster.rules.parse import read_rule_file
from phash_dagster.rules.problems import RuleProblem, RulesError
from phash_dagster.rules.store import current_version, find_versions, save_version

__all__ = [
    "Change",
    "Commit",
    "Danger",
    "LoadedRules",
    "Origin",
    "Place",
    "Rule",
    "RuleHash",
    "RuleProblem",
    "RuleSet",
    "RulesError",
    "SetAside",
    "SourceFile",
    "are_as_read",
    "current_version",
    "difference",
    "find_versions",
    "hashes_to_match",
    "is_file",
    "load_folder",
    "load_paths",
    "read_commit",
    "read_rule_file",
    "rule_files",
    "save_version",
]
