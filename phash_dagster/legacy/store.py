"""Keeps what the predecessor knew, so that nothing is fetched or labelled twice."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from phash_dagster.hashing.quality import structure
from phash_dagster.images.model import ImageHash, ImageReference, ImageResult, Outcome
from phash_dagster.images.store import save_results
from phash_dagster.legacy.keys import LegacyClaim, LegacyHash
from phash_dagster.moderation.actions import IMPORTED_RULE, Action, Event, Review, State
from phash_dagster.moderation.ledger import Ledger
from phash_dagster.sql import statement
from phash_dagster.warehouse import Connection

IMPORTED: Final = "import-legacy"
"""Who did it: the batch, the run and the reviewer of imported claims, the source of hashes."""

CLAIM_LASTED: Final = timedelta(days=7)
"""How long a claim of the predecessor lived."""

_ROWS: Final = 10_000


def import_hashes(
    connection: Connection, hashes: Sequence[LegacyHash], *, algorithm: str, now: datetime
) -> int:
    """Keep the hashes of images that have none by this algorithm yet; return how many.

    Their quality is judged by their bits alone, since nothing else is known of the images.

    Args:
        connection: Within a write transaction of the warehouse.
        hashes: What the predecessor had.
        algorithm: `average`, or `average-integer` for lists made with image 0.25.6 or before.
        now: When they are imported.
    """
    imported = 0
    for start in range(0, len(hashes), _ROWS):
        chunk = {each.blob_cid: each for each in hashes[start : start + _ROWS]}
        rows = connection.execute(
            statement("legacy/known_hashes"),
            {"blob_cids": list(chunk), "algorithm": algorithm},
        ).fetchall()
        known = {blob_cid for (blob_cid,) in rows}
        new = [each for blob_cid, each in chunk.items() if blob_cid not in known]
        save_results(connection, [_result(each, algorithm) for each in new], now=now)
        imported += len(new)
    return imported


def import_claims(
    ledger: Ledger, claims: Sequence[LegacyClaim], *, claim_ttl: timedelta, now: datetime
) -> int:
    """Record each label as sent at the time when it was; return how many are new.

    They hold their claims as rows of our own do, until the claim window has passed. Budgets do not
    count them.
    """
    rows = [_row(claim, now) for claim in claims]
    return ledger.record(rows, claim_ttl=claim_ttl)


def _result(legacy: LegacyHash, algorithm: str) -> ImageResult:
    return ImageResult(
        # Its author is not known; posts that carry it name theirs.
        ImageReference(legacy.blob_cid, "", None),
        Outcome.hashed,
        source=IMPORTED,
        width=0,
        height=0,
        format="unknown",
        hashes=(ImageHash(algorithm, legacy.value, _quality(legacy.value), IMPORTED),),
    )


def _quality(value: int) -> int:
    packed = np.frombuffer(value.to_bytes(8, "big"), dtype=np.uint8)
    bits = np.unpackbits(packed, bitorder="little").astype(np.bool_).reshape(8, 8)
    return round(100 * structure(bits))


def _row(claim: LegacyClaim, now: datetime) -> Action:
    sent_at = min(claim.expires_at - CLAIM_LASTED, now) if claim.expires_at else now
    on_post = claim.subject.startswith("at://")
    return Action(
        external_id=_external_id(claim),
        subject_uri=claim.subject if on_post else None,
        subject_did=claim.did,
        subject_cid=None,
        source_uri=claim.subject,
        blob_cids=(),
        event=Event.LABEL,
        value=claim.label,
        rule_id=IMPORTED_RULE,
        rule_version="",
        rule_hash="",
        distance=0,
        comment="Labelled by the predecessor",
        report_reason=None,
        lane="live",
        mode="live",
        state=State.SENT,
        reason="imported from the predecessor",
        batch_id=IMPORTED,
        run_id=IMPORTED,
        planned_at=sent_at,
        sent_at=sent_at,
        review=Review.RELEASED,
        reviewed_at=now,
        reviewed_by=IMPORTED,
    )


def _external_id(claim: LegacyClaim) -> str:
    """The same for the same claim, so that a second import adds nothing."""
    text = f"{claim.subject}\n{claim.label}"
    return f"phash-dagster:imported:{hashlib.sha256(text.encode()).hexdigest()}"
