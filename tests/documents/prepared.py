"""A small pipeline that the commands of the documentation are run on.

Its history is of the last hours, whenever it is made, and holds what the pages speak of: the rule
raid-slogan, its picture, and actions in every state that somebody has to do something about.
"""

import csv
import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from PIL import Image

from phash_dagster.analysis import Sources, make_snapshot
from phash_dagster.clock import utc_now
from phash_dagster.hashing import get_algorithm
from phash_dagster.images.golden import __file__ as golden_file
from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.ingest import IngestRecords
from phash_dagster.moderation.actions import Action, State
from phash_dagster.moderation.budgets import HashKey
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.moderation.ledger_limits import Batch
from phash_dagster.moderation.mirror import mirror_ledger
from phash_dagster.sandbox import images as pictures
from phash_dagster.stack import dagster_instance, prepare_home
from tests.legacy.dumps import KEYS, write_rdb
from tests.moderation.builders import TTL, action_on_post
from tests.preview.past import LIVE, Past, entry, hexadecimal, near, post, uri
from tests.preview.past import OTHER as _OTHER

SLOGAN: Final = "raid-slogan"
BATCH: Final = "backfill-9bc90fd8b5d9"
FLOODED: Final = ("783101f7e7870f0f", "f0f0f0f0f0f0f0f0")
BACKUP: Final = "phash-dagster-20261123T034000Z.zip"
ALICE: Final = "did:plc:a"
MISSED: Final = "3kabc"
"""Key of a post whose image is one bit beyond the rule's threshold."""

_GOLDEN: Final = Path(golden_file).parent
"""Images whose hashes are known."""

_SMALL: Final = (160, 120)
_RAID, _MEME = (pictures.photo(seed, _SMALL) for seed in (11, 12))


def average(image: Image.Image) -> int:
    """The hash that a rule names for this picture."""
    return get_algorithm("average").hash(image).value


@dataclass(frozen=True)
class Prepared:
    """The folders of the pipeline, and what stands for the placeholders of the pages."""

    folder: Path
    numbers: dict[str, int]
    """The actions, by the keys of their posts."""

    @property
    def desk(self) -> Path:
        """The folder that commands are run in, with the files that they name."""
        return self.folder / "desk"

    @property
    def variables(self) -> dict[str, str]:
        return {
            **LIVE,
            "DATA_DIR": str(self.folder / "data"),
            "RULES_DIR": str(self.folder / "rules"),
        }

    def copy(self, folder: Path) -> "Prepared":
        """The same at another place, for a command that may change it."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Prepared(folder, self.numbers)


def prepare(folder: Path) -> Prepared:
    """Make the pipeline."""
    past = Past(folder)
    now = utc_now()
    _see(past, now)
    past.put_in_force(entry(SLOGAN, average(_RAID), label="raid"), at=now - timedelta(hours=5))
    numbers = _act(past, now)
    sources = Sources(past.warehouse, past.posts, IngestRecords.under(past.settings.data_dir))
    make_snapshot(sources, past.settings.analytics_path, utc_now)
    # As the first start does.
    with dagster_instance(prepare_home(past.settings, {})):
        pass
    prepared = Prepared(folder, numbers)
    _lay_out(prepared)
    return prepared


def _see(past: Past, now: datetime) -> None:
    """Posts with the picture of the raid, with one that is nearly it, and with another."""
    known = average(_RAID)
    images = {"raid": known, "copy": near(known, 1), "missed": near(known, 4), "other": _OTHER}
    results = [
        ImageResult(
            ImageReference(cid, ALICE, None),
            Outcome.hashed,
            source="cdn",
            width=160,
            height=120,
            format="jpeg",
            hashes=(ImageHash("average", value, 60, "test", 64),),
        )
        for cid, value in images.items()
    ]
    with past.warehouse.write() as connection:
        save_results(connection, results, now=now)
    past.write(
        *(
            post(f"r{place}", cid, did=f"did:plc:{author}", at=now, hours_ago=place + 1)
            for place, (cid, author) in enumerate(zip(images, "bcde", strict=True))
        ),
        *(post(key, "raid", at=now, hours_ago=2) for key in ("sent", "sent-too", "held")),
        post(MISSED, "missed", at=now, hours_ago=1),
    )


def _act(past: Past, now: datetime) -> dict[str, int]:
    """Actions in every state; returns their numbers, by the keys of their posts."""
    fields: dict[str, Any] = {
        "did": ALICE,
        "value": "raid",
        "rule_id": SLOGAN,
        "planned_at": now - timedelta(hours=1),
    }
    held: dict[str, Any] = {"state": State.HELD, "reason": "over a budget"}
    rows: list[Action] = [
        action_on_post("sent", **fields),
        action_on_post("sent-too", **fields),
        action_on_post("planned", **fields),
        action_on_post("shadow", **fields, mode="shadow"),
        action_on_post("held", **fields, **held),
        action_on_post("backfill", **fields, **held, lane="backfill", batch_id=BATCH),
        action_on_post("flood", **fields, **held, rule_hash=FLOODED[0]),
        action_on_post("failed", **fields, state=State.FAILED, reason="InvalidRequest: no"),
        action_on_post("dead", **fields, state=State.DEAD, reason="not within 3 runs"),
    ]
    with Ledger(past.settings.effective_ledger_url) as ledger:
        ledger.record(rows, claim_ttl=TTL)
        numbers = {
            row.subject.rpartition("/")[2]: row.action_id
            for row in ledger.changed_since(now - timedelta(days=1))
        }
        for event_id, key in enumerate(("sent", "sent-too")):
            ledger.mark_sending(numbers[key])
            ledger.mark_sent(numbers[key], event_id, now)
        hour = now.replace(minute=0, second=0, microsecond=0)
        floods = {(HashKey(SLOGAN, value), hour): 500 for value in FLOODED}
        ledger.limits.note_posts(floods, min_posts=50, factor=10)
        ledger.limits.judge_batch(
            Batch(
                batch_id=BATCH,
                state="held",
                posts=900,
                accounts=1,
                images=1000,
                reason="reaches too far",
                evaluated_at=now,
            )
        )
        mirror_ledger(ledger, past.warehouse)
    return numbers


def _lay_out(prepared: Prepared) -> None:
    """The files that the pages name."""
    desk = prepared.desk
    desk.mkdir()
    (desk / "backups").mkdir()
    _RAID.save(desk / "raid.png")
    (desk / "raid-copy.jpg").write_bytes(pictures.encode(_RAID, quality=60))
    (desk / "meme.jpg").write_bytes(pictures.encode(_MEME))
    pictures.resized(_MEME).save(desk / "meme-from-a-screenshot.png")
    tried = entry("raid-logo", _OTHER, label="raid", mode="shadow")
    (desk / "new.json").write_text(json.dumps([tried]))
    added = entry("troll-meme", average(_MEME), label="troll", mode="shadow")
    (prepared.folder / "rules" / "my-rules.json").write_text(json.dumps([added]))
    with (_GOLDEN / "expected.csv").open(encoding="utf-8") as file:
        known = [row for row in csv.DictReader(file) if row["algorithm"] == "average"]
    pairs = [f"{_GOLDEN / row['file']},{row['hash']}" for row in known]
    (desk / "pairs.csv").write_text("\n".join(["image,hash", *pairs]))
    write_rdb(desk / "dump.rdb", KEYS, {})


def raid_hash() -> str:
    """The hash that the rule names."""
    return hexadecimal(average(_RAID))


def held_post() -> str:
    """The AT URI of a post whose label is held."""
    return uri("held", ALICE)
