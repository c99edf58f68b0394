"""What was imported is not fetched and not labelled again."""

from datetime import timedelta
from pathlib import Path

import pytest

from phash_dagster.images.store import pending_images
from phash_dagster.legacy.keys import LegacyClaim, LegacyHash
from phash_dagster.legacy.store import import_claims, import_hashes
from phash_dagster.moderation.actions import Claim, Event, State
from tests.moderation.bench import Bench, a_rule, post
from tests.moderation.builders import DID, HASH, NOW, TTL, action_on_post
from tests.moderation.test_budgets import budgets

CLAIM = LegacyClaim(f"at://{DID}/app.bsky.feed.post/r", "troll", NOW + timedelta(days=5))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def bring(bench: Bench, *hashes: LegacyHash, algorithm: str = "average") -> int:
    with bench.warehouse.write() as connection:
        return import_hashes(connection, hashes, algorithm=algorithm, now=NOW)


def test_an_image_with_an_imported_hash_is_not_fetched(bench: Bench) -> None:
    bench.write(post())
    assert bring(bench, LegacyHash("blob", int(HASH, 16))) == 1
    with bench.warehouse.read() as connection:
        bench.posts.attach(connection, bench.posts.partition_keys())
        assert pending_images(connection, algorithms=["average"], now=NOW) == []
        assert len(pending_images(connection, algorithms=["average-integer"], now=NOW)) == 1


def test_a_second_import_and_our_own_hashes_change_nothing(bench: Bench) -> None:
    bring(bench, LegacyHash("blob", 1))
    assert bring(bench, LegacyHash("blob", 2), LegacyHash("other", 3)) == 1
    with bench.warehouse.read() as connection:
        rows = connection.execute(
            "FROM image_hashes SELECT blob_cid, hash, source ORDER BY blob_cid"
        ).fetchall()
    assert rows == [("blob", 1, "import-legacy"), ("other", 3, "import-legacy")]


def test_a_striped_image_is_of_low_quality_though_only_its_hash_is_known(bench: Bench) -> None:
    bring(bench, LegacyHash("striped", 0xF0F0F0F0F0F0F0F0), LegacyHash("rich", 0x9C3A5F0E71D84B26))
    with bench.warehouse.read() as connection:
        quality = dict(connection.execute("FROM image_hashes SELECT blob_cid, quality").fetchall())
    assert quality["striped"] == 0
    assert quality["rich"] > 10


def test_what_the_predecessor_labelled_is_not_labelled_again(bench: Bench) -> None:
    bench.load(a_rule())
    bench.match()
    bench.write(post())
    assert import_claims(bench.ledger, [CLAIM], claim_ttl=TTL, now=NOW) == 1
    assert bench.plan().recorded == 0
    [row] = bench.rows()
    assert (row.state, row.sent_at) == (State.SENT, NOW - timedelta(days=2))


def test_an_imported_claim_is_held_until_its_window_has_passed(bench: Bench) -> None:
    import_claims(bench.ledger, [CLAIM], claim_ttl=TTL, now=NOW)
    claim = Claim(CLAIM.subject, Event.LABEL, "troll")
    assert bench.ledger.claims([claim], NOW + timedelta(days=4) - TTL).live == {claim}
    assert bench.ledger.claims([claim], NOW + timedelta(days=6) - TTL).live == frozenset()


def test_a_claim_without_a_time_counts_from_now(bench: Bench) -> None:
    import_claims(bench.ledger, [LegacyClaim(DID, "spam", None)], claim_ttl=TTL, now=NOW)
    [row] = bench.ledger.in_state(State.SENT)
    assert (row.subject_uri, row.subject_did, row.sent_at) == (None, DID, NOW)


def test_importing_twice_adds_nothing(bench: Bench) -> None:
    import_claims(bench.ledger, [CLAIM], claim_ttl=TTL, now=NOW)
    assert import_claims(bench.ledger, [CLAIM], claim_ttl=TTL, now=NOW) == 0


def test_imported_claims_spend_no_budget(bench: Bench) -> None:
    claims = [LegacyClaim(f"did:plc:{number}", "spam", None) for number in range(5)]
    import_claims(bench.ledger, claims, claim_ttl=TTL, now=NOW)
    [row] = bench.ledger.add([action_on_post()], claim_ttl=TTL, budgets=budgets(actions_per_day=1))
    assert row.state is State.PLANNED
