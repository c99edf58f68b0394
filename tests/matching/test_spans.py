"""Spans cover the numbers of image hashes without gap or overlap, whatever is matched when."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from phash_dagster.matching.spans import Known, Span, matched, up_to

OLD, NEW = Known("old", 2), Known("new", 2)


def test_hashes_after_the_last_span_were_never_matched() -> None:
    assert up_to([], 3) == [Span(0, 3)]
    assert up_to([Span(0, 3, OLD)], 5) == [Span(0, 3, OLD), Span(4, 5)]
    assert up_to([Span(0, 3, OLD)], 3) == [Span(0, 3, OLD)]


def test_the_middle_of_a_span_is_cut_out() -> None:
    assert matched([Span(0, 9, OLD)], Span(3, 5, NEW)) == [
        Span(0, 2, OLD),
        Span(3, 5, NEW),
        Span(6, 9, OLD),
    ]


def test_equal_neighbours_become_one_span() -> None:
    spans = [Span(0, 4, NEW), Span(5, 9, OLD), Span(10, 12, NEW)]
    assert matched(spans, Span(5, 9, NEW)) == [Span(0, 12, NEW)]


def test_another_margin_is_another_span() -> None:
    wider = Known("new", 3)
    assert matched([Span(0, 4, NEW), Span(5, 9)], Span(5, 9, wider)) == [
        Span(0, 4, NEW),
        Span(5, 9, wider),
    ]


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 20),
            st.integers(0, 100),
            st.integers(0, 100),
            st.sampled_from([OLD, NEW, Known("new", 3)]),
        ),
        max_size=15,
    )
)
def test_spans_say_of_each_number_what_it_was_matched_with_last(
    steps: list[tuple[int, int, int, Known]],
) -> None:
    spans: list[Span] = []
    truth: list[Known | None] = [None]
    for more, place, length, known in steps:
        truth += [None] * more
        spans = up_to(spans, len(truth) - 1)
        within = spans[place % len(spans)]
        first = within.first + place % within.length
        last = min(within.last, first + length)
        spans = matched(spans, Span(first, last, known))
        truth[first : last + 1] = [known] * (last - first + 1)
        assert [span.known for span in spans for _ in range(span.length)] == truth
        assert all(one.known != other.known for one, other in pairwise(spans))
