"""The rules to try: a folder of rule files, or one file as if it were saved in RULES_DIR."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from phash_dagster.rules import LoadedRules, is_file, load_folder, load_paths, rule_files
from phash_dagster.settings import Settings


@dataclass(frozen=True)
class Candidate:
    """Rules to try.

    Attributes:
        loaded: All rules that would be in force.
        rule_ids: The rules among them that are asked about.
    """

    loaded: LoadedRules
    rule_ids: frozenset[str]


def load_candidate(path: Path | None, settings: Settings, now: datetime) -> Candidate:
    """Load the rules that would be in force.

    Args:
        path: A folder that would take the place of RULES_DIR; or a file that would be saved in
            RULES_DIR, where it takes the place of one of its name. None: RULES_DIR as it is.
        settings: Names RULES_DIR and the default threshold.
        now: The time by which rules have expired or not.

    Raises:
        RulesError: A file cannot be used.
    """
    threshold = settings.phash_hamming_threshold
    if path is not None and is_file(path):
        files = {each.name: each for each in rule_files(settings.rules_dir)} | {path.name: path}
        in_name_order = [files[name] for name in sorted(files)]
        return _asking_about(load_paths(in_name_order, threshold, now), path.name)
    loaded = load_folder(path or settings.rules_dir, threshold, now)
    return Candidate(loaded, frozenset(rule.id for rule in loaded.ruleset.rules))


def _asking_about(loaded: LoadedRules, file: str) -> Candidate:
    placed = zip(loaded.places, loaded.ruleset.rules, strict=True)
    return Candidate(loaded, frozenset(rule.id for place, rule in placed if place.file == file))
