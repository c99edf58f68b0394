"""Rules that labelled posts, for tests of undoing it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phash_dagster.moderation.actions import Action, Event, State
from phash_dagster.moderation.emit import emit_actions
from phash_dagster.moderation.emit_options import Pacing
from phash_dagster.moderation.labels import Label
from phash_dagster.moderation.row_filter import RowFilter
from phash_dagster.moderation.undo import UndoRequest
from phash_dagster.moderation.undo_run import Undo, look_at_undo, undo
from phash_dagster.rules import Rule
from tests.moderation.bench import Bench, a_rule
from tests.moderation.builders import DID
from tests.moderation.scripted_ozone import AT_ONCE, ScriptedOzone


def troll_rule(rule_id: str, **fields: Any) -> Rule:
    """One of several rules that put the same label."""
    return a_rule("troll", id=rule_id, **fields)


@dataclass
class LabelsOfOzone(ScriptedOzone):
    """Keeps the labels and takedowns that stand."""

    standing: set[tuple[str, str]] = field(default_factory=set)
    cids: dict[str, str | None] = field(default_factory=dict)

    def emit(self, action: Action) -> Any:
        result = super().emit(action)
        named = action.subject, action.value or "!takedown"
        if action.event in (Event.LABEL, Event.TAKEDOWN):
            self.standing.add(named)
            self.cids[action.subject] = action.subject_cid
        elif action.event in (Event.NEGATE_LABEL, Event.REVERSE_TAKEDOWN):
            self.standing.discard(named)
        return result

    def labels_on(self, subjects: Sequence[str]) -> list[Label]:
        return [
            Label(subject, self.cids[subject], value, negated=False, expires_at=None)
            for subject, value in self.standing
            if subject in subjects
        ]


class UndoBench(Bench):
    """Posts that rules act upon, an Ozone that takes it, and a person who undoes it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ozone = LabelsOfOzone()

    def send(self) -> None:
        emit_actions(self.ledger, self.ozone, AT_ONCE, pacing=Pacing(clock=self.clock))

    def request(self, *, allow_again: bool = False, **fields: Any) -> UndoRequest:
        return UndoRequest(
            which=RowFilter(**fields),
            by="ana",
            batch_id="undo-1",
            run_id="undo-1",
            now=self.clock(),
            mode=self.settings.effective_mode,
            allow_again=allow_again,
        )

    def look(self, **fields: Any) -> Undo:
        return look_at_undo(self.request(**fields), self.settings)

    def undo(self, **fields: Any) -> Undo:
        return undo(self.request(**fields), self.settings, self.clock)

    def in_state(self, state: State) -> list[Action]:
        return self.ledger.in_state(state)


def uri(rkey: str) -> str:
    return f"at://{DID}/app.bsky.feed.post/{rkey}"
