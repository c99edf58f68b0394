"""The ledger's copy in the warehouse."""

from phash_dagster.moderation.mirror import mirror_ledger
from tests.moderation.bench import Bench, post


def copied_states(bench: Bench) -> list[str]:
    with bench.warehouse.read() as connection:
        rows = connection.execute(
            "SELECT state FROM moderation_actions ORDER BY action_id"
        ).fetchall()
    return [state for (state,) in rows]


def mirror(bench: Bench) -> None:
    mirror_ledger(bench.ledger, bench.warehouse, bench.clock)


def test_what_changed_since_the_last_copy_is_copied(bench: Bench) -> None:
    bench.write(post("a"), post("b"))
    bench.plan()
    mirror(bench)
    bench.clock.advance(minutes=1)
    bench.ledger.mark_sending(bench.rows()[0].action_id)
    mirror(bench)
    assert copied_states(bench) == ["sending", "planned"]


def test_what_changes_after_the_clock_was_set_back_is_copied_too(bench: Bench) -> None:
    bench.write(post("a"), post("b"), post("c"))
    bench.plan()
    mirror(bench)
    bench.clock.advance(hours=-3)
    for row in bench.rows():
        bench.ledger.mark_sending(row.action_id)
        bench.clock.advance(minutes=50)
        mirror(bench)
    assert copied_states(bench) == ["sending"] * 3
