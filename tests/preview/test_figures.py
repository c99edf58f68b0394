"""What a preview counts, on small pasts whose figures can be counted by hand."""

from pathlib import Path

import pytest

from phash_dagster.preview.model import (
    AccountCount,
    DistanceCount,
    HashPreview,
    Overlap,
    PopularImage,
    Reach,
)
from tests.preview.past import (
    MEME,
    NOW,
    OTHER,
    Past,
    delete,
    entry,
    hexadecimal,
    near,
    post,
    uri,
)

pytestmark = pytest.mark.slow

A, B, C = "did:plc:a", "did:plc:b", "did:plc:c"


@pytest.fixture
def past(tmp_path: Path) -> Past:
    """Images at 0, 2, 3 (within), 4, 5 (margin) and 6 bits from MEME, and a stranger.

    Two accounts post the image at distance 0, one of them twice; the others come once each.
    """
    past = Past(tmp_path)
    bits = {f"bits{number}": near(MEME, number) for number in (0, 2, 3, 4, 5, 6)}
    past.hash(bits | {"stranger": OTHER})
    past.write(
        post("1", "bits0"),
        post("2", "bits0"),
        post("3", "bits0", did=B),
        post("4", "bits2", did=B),
        post("5", "bits3", did=C),
        post("6", "bits4"),
        post("7", "bits5", did="did:plc:d"),
        post("8", "bits6"),
        post("9", "stranger"),
    )
    return past


def test_posts_accounts_and_images_within_the_threshold(past: Past) -> None:
    rule = past.preview_rule(entry())
    assert rule.within == Reach(posts=5, accounts=3, images=3)
    assert rule.decided == Reach(posts=5, accounts=3, images=3)
    assert rule.new_posts == 5


def test_the_margin_is_counted_apart(past: Past) -> None:
    """Account a, with a post at 4 bits, is within the threshold already."""
    assert past.preview_rule(entry()).beyond == Reach(posts=2, accounts=1, images=2)


def test_the_histogram_shows_each_distance_with_its_posts_and_images(past: Past) -> None:
    assert past.preview_rule(entry()).distances == (
        DistanceCount(0, within=True, posts=3, images=1),
        DistanceCount(2, within=True, posts=1, images=1),
        DistanceCount(3, within=True, posts=1, images=1),
        DistanceCount(4, within=False, posts=1, images=1),
        DistanceCount(5, within=False, posts=1, images=1),
    )


def test_each_hash_is_counted_for_itself_and_the_rule_by_its_nearest(past: Past) -> None:
    rule = past.preview_rule(entry("meme", MEME, near(MEME, 6)))
    first, second = rule.hashes
    assert first == HashPreview(
        hexadecimal(MEME), None, Reach(5, 3, 3), Reach(2, 1, 2), first.distances
    )
    assert [(bar.distance, bar.posts) for bar in second.distances] == [
        (0, 1),
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 1),
    ]
    assert [(bar.distance, bar.posts) for bar in rule.distances] == [(0, 4), (1, 1), (2, 2), (3, 1)]
    assert rule.within == Reach(posts=8, accounts=4, images=6)
    assert rule.beyond == Reach()


def test_the_most_hit_accounts_come_first(past: Past) -> None:
    assert past.preview_rule(entry()).accounts == (
        AccountCount(B, posts=2, images=2),
        AccountCount(A, posts=2, images=1),
        AccountCount(C, posts=1, images=1),
    )


def test_ignored_accounts_are_in_reach_and_not_decided(past: Past) -> None:
    rule = past.preview_rule(entry(ignoreDID=[B]))
    assert (rule.within.posts, rule.decided.posts, rule.ignored_posts) == (5, 3, 2)
    assert {post.uri: post.decided for post in rule.examples}[uri("3", B)] is False


def test_the_first_rule_wins_and_the_second_is_in_reach_all_the_same(past: Past) -> None:
    path = past.write_rules(
        entry("strict", hammingThreshold=0, allow=["colliding-hash"]),
        entry("loose", allow=["colliding-hash", "duplicate-hash"]),
    )
    strict, loose = past.preview(path).rules
    assert (strict.within.posts, strict.decided.posts) == (3, 3)
    assert (loose.within.posts, loose.decided.posts) == (5, 2)


def test_a_hash_that_is_set_aside_is_counted_and_decides_nothing(tmp_path: Path) -> None:
    past = Past(tmp_path)
    past.hash({"flat": 0})
    past.write(post("1", "flat"))
    rule = past.preview_rule(entry("flat", 0))
    assert (rule.within.posts, rule.decided.posts, rule.actions) == (1, 0, ())
    assert rule.hashes[0].set_aside == "flat-hash"
    assert [danger.name for danger in past.preview().dangers] == ["flat-hash"]


def test_an_image_nearer_to_an_exception_is_not_decided(past: Past) -> None:
    rule = past.preview_rule(entry(exceptHashes=[hexadecimal(near(MEME, 3))]))
    # The images at 2 and 3 bits are 1 and 0 bits from the exception.
    assert (rule.within.posts, rule.decided.posts) == (5, 3)


def test_an_image_of_too_low_a_quality_is_not_decided(past: Past) -> None:
    past.hash({"plain": near(MEME, 1)}, quality=5)
    past.write(post("plain", "plain"))
    rule = past.preview_rule(entry())
    assert (rule.within.posts, rule.decided.posts, rule.plain_posts) == (6, 5, 1)


def test_an_expired_rule_decides_nothing(past: Past) -> None:
    rule = past.preview_rule(entry(expires="2026-11-22"))
    assert (rule.within.posts, rule.decided.posts) == (5, 0)


def test_a_record_counts_as_it_stands_now(past: Past) -> None:
    past.write(
        post("1", "stranger", operation="update", cid="newer", hours_ago=0.5),
        post("9", "bits0", operation="update", cid="newer", hours_ago=0.5),
        post("8", None, operation="update", cid="newer", hours_ago=0.5),
    )
    rule = past.preview_rule(entry())
    assert rule.within.posts == 5
    uris = {post.uri for post in rule.examples}
    assert uri("9") in uris
    assert uri("1") not in uris


def test_deleted_posts_are_counted(past: Past) -> None:
    past.write(delete("1"))
    assert past.preview_rule(entry()).within.posts == 5


def test_only_the_hours_of_the_period_count(past: Past) -> None:
    past.write(post("old", "bits0", did=C, hours_ago=50))
    assert past.preview_rule(entry(), days=2).within.posts == 5
    assert past.preview_rule(entry(), days=3).within.posts == 6


def test_an_event_that_came_twice_counts_once(past: Past) -> None:
    past.write(post("1", "bits0", host="another"))
    assert past.preview_rule(entry()).within.posts == 5


def test_overlap_names_the_rules_in_force_that_decide_the_same_posts(past: Past) -> None:
    past.put_in_force(entry("older", near(MEME, 3), hammingThreshold=1, label="same"))
    path = past.write_rules(entry("newer", label="same"), name="new.json")
    [rule] = past.preview(path).rules
    # The older rule decides the images at 2, 3 and 4 bits; two of them lie within the newer's 3.
    assert rule.overlaps == (Overlap("older", posts=2, accounts=2),)
    assert (rule.decided.posts, rule.new_posts) == (3, 3)


def test_a_rule_in_force_overlaps_with_itself_as_it_is_now(past: Past) -> None:
    past.put_in_force(entry(hammingThreshold=0))
    rule = past.preview_rule(entry())
    assert rule.overlaps == (Overlap("meme", posts=3, accounts=2),)
    assert (rule.decided.posts, rule.new_posts) == (5, 2)


def popular_past(tmp_path: Path, accounts: int) -> Past:
    """An image that so many accounts posted, in two files with the same hash; and a rare one."""
    past = Past(tmp_path)
    past.hash({"one": near(MEME, 2), "two": near(MEME, 2), "rare": MEME})
    past.write(
        *(post("1", ("one", "two")[n % 2], did=f"did:plc:{n}") for n in range(accounts)),
        post("again", "one", did="did:plc:0", hours_ago=0.5),
        *(post(f"r{number}", "rare") for number in range(30)),
    )
    return past


def test_a_hash_value_that_many_accounts_posted_is_a_popular_image(tmp_path: Path) -> None:
    rule = popular_past(tmp_path, 20).preview_rule(entry())
    assert rule.popular == (
        PopularImage(
            hash=hexadecimal(near(MEME, 2)),
            rule_hash=hexadecimal(MEME),
            distance=2,
            within=True,
            accounts=20,
            posts=21,
            images=2,
            decided_posts=0,
            example=uri("again", "did:plc:0"),
        ),
    )


def test_one_account_less_and_it_is_not_popular(tmp_path: Path) -> None:
    past = popular_past(tmp_path, 19)
    assert past.preview_rule(entry()).popular == ()
    assert len(past.preview_rule(entry(), popular_accounts=19).popular) == 1


def test_a_popular_image_in_the_margin_is_said_to_be_there(tmp_path: Path) -> None:
    [image] = popular_past(tmp_path, 20).preview_rule(entry(hammingThreshold=1)).popular
    assert not image.within


def test_a_popular_image_that_a_rule_in_force_decides_is_said_to_be_decided(tmp_path: Path) -> None:
    past = popular_past(tmp_path, 20)
    past.put_in_force(entry("older", near(MEME, 2), hammingThreshold=0, label="same"))
    path = past.write_rules(entry("newer", label="same"), name="new.json")
    assert past.preview(path).rules[0].popular[0].decided_posts == 21


def test_a_past_without_anything_gives_zeros(tmp_path: Path) -> None:
    past = Past(tmp_path)
    found = past.preview(past.write_rules(entry()))
    assert (found.hours, found.image_posts, found.version_in_force) == (0, 0, None)
    assert found.rules[0].within == Reach()
    assert found.compared == {}


def test_no_rules_give_an_empty_preview(past: Past) -> None:
    past.write_rules()
    found = past.preview()
    assert (found.rules, found.recorded) == ((), ())
    assert found.made_at == NOW


def test_it_says_how_much_was_compared(past: Past) -> None:
    found = past.preview(past.write_rules(entry(), entry("d", algorithm="difference")))
    assert found.compared == {"average": 7, "difference": 0}
    assert (found.hours, found.image_posts) == (1, 9)


def test_a_file_is_tried_as_if_it_lay_in_the_folder_of_rules(past: Past) -> None:
    past.write_rules(entry("first", hammingThreshold=0, label="same"), name="a.json")
    path = past.settings.data_dir.parent / "b.json"
    path.write_text(past.write_rules(entry("second", label="same"), name="c.json").read_text())
    (past.settings.rules_dir / "c.json").unlink()
    found = past.preview(path)
    assert [rule.rule_id for rule in found.rules] == ["second"]
    assert (found.other_rules, found.sources) == (1, ("a.json", "b.json"))
    # The rule of a.json comes first and takes the images at distance 0.
    assert found.rules[0].decided.posts == 2
    assert found.other_actions == 3


def test_hashes_of_256_bits_are_compared_in_full(tmp_path: Path) -> None:
    pytest.importorskip("pdqhash")
    wide = int("9c64d3a1e87f520b" * 4, 16)
    past = Past(tmp_path)
    past.hash(
        {
            "x": wide ^ 0b111,
            "y": wide ^ (0b11111 << 70),
            "z": wide ^ (1 << 200),
            "far": ~wide % 2**256,
        },
        algorithm="pdq",
    )
    past.write(*(post(name, name) for name in ("x", "y", "z", "far")))
    rule = past.preview_rule(
        entry("wide", algorithm="pdq", phashes=[f"{wide:064x}"]), popular_accounts=1
    )
    assert [(bar.distance, bar.within) for bar in rule.distances] == [
        (1, True),
        (3, True),
        (5, False),
    ]
    assert rule.decided == Reach(posts=2, accounts=1, images=2)
    assert {image.hash for image in rule.popular} == {
        f"{wide ^ difference:064x}" for difference in (0b111, 0b11111 << 70, 1 << 200)
    }
