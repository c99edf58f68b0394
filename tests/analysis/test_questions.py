"""Questions declare what can be set, and read it as declared."""

import re
from datetime import UTC, datetime

import pytest

from phash_dagster.analysis.questions import (
    Parameter,
    Question,
    QuestionError,
    find_question,
    in_one_line,
    questions,
)

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
QUESTION = Question(
    name="some",
    asks="Some?",
    explanation="",
    parameters=(
        Parameter("since", "TIMESTAMPTZ", "now()", "beginning"),
        Parameter("account", "VARCHAR", None, "DID of the account"),
        Parameter("most", "INTEGER", "50", "rows"),
        Parameter("share", "DOUBLE", "0.5", "share"),
        Parameter("exact", "BOOLEAN", "false", "only exact"),
    ),
    sql="",
)


def parse_time(text: str) -> datetime:
    if text != "then":
        raise ValueError(f"{text!r} is no time; write then")
    return MOMENT


def without_space(text: str) -> str:
    return re.sub(r"\s+", "", re.sub(r"--.*", "", text))


@pytest.mark.parametrize("question", questions().values(), ids=questions().keys())
def test_parameters_are_read_as_the_header_declares_them(question: Question) -> None:
    code = without_space(question.sql)
    for parameter in question.parameters:
        asked = code.count(f"getvariable('{parameter.name}')")
        assert asked, f"{parameter.name} is declared and never read"
        assert asked == code.count(without_space(parameter.as_in_sql)), (
            f"read it everywhere as {parameter.as_in_sql}"
        )
    names = {parameter.name for parameter in question.parameters}
    assert set(re.findall(r"getvariable\('(\w+)'\)", code)) == names, "each one is declared"


@pytest.mark.parametrize("question", questions().values(), ids=questions().keys())
def test_a_header_is_a_question_an_explanation_and_parameters(question: Question) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", question.name)
    assert question.asks.endswith("?")
    assert question.asks.count("?") == 1
    assert not question.explanation or question.explanation.endswith(".")
    declared = re.findall(r"^--   ", question.sql, flags=re.MULTILINE)
    assert len(declared) == len(question.parameters), "a line is not understood"
    for parameter in question.parameters:
        assert parameter.type in ("TIMESTAMPTZ", "INTEGER", "DOUBLE", "VARCHAR", "BOOLEAN")


@pytest.mark.parametrize("question", questions().values(), ids=questions().keys())
def test_an_answer_has_an_order(question: Question) -> None:
    assert re.search(r"^ORDER BY", question.sql, flags=re.MULTILINE)


def test_there_are_enough_of_them() -> None:
    assert len(questions()) >= 15
    asked = [question.asks for question in questions().values()]
    assert len(asked) == len(set(asked))


def test_a_question_is_found_by_either_spelling() -> None:
    assert find_question("seen-per-day") is not None
    assert find_question("seen_per_day") == find_question("seen-per-day")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("seen-per-dya", "seen-per-day"), ("lag", "lag-per-hour"), ("heldactions", "held-actions")],
)
def test_a_name_that_is_wrong_names_those_that_are_meant(name: str, meant: str) -> None:
    with pytest.raises(QuestionError, match=rf"no question '{name}', perhaps .*{meant}") as error:
        find_question(name)
    assert "--list" in str(error.value)


def test_a_name_like_none_names_none() -> None:
    with pytest.raises(QuestionError, match="no question 'zzz'; `phash-dagster query --list`"):
        find_question("zzz")


def test_values_get_the_types_of_their_parameters() -> None:
    given = {"since": "then", "account": "a", "most": "7", "share": "0.25", "exact": "yes"}
    assert QUESTION.values(given, parse_time) == {
        "since": MOMENT,
        "account": "a",
        "most": 7,
        "share": 0.25,
        "exact": True,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"some needs account \(DID of the account\): add --param account=…"),
        ({"acount": "a"}, "some has no parameter 'acount', perhaps account; it has since, account"),
        ({"account": "a", "most": "many"}, "most: 'many' is not a whole number"),
        ({"account": "a", "most": "1.5"}, "most: '1.5' is not a whole number"),
        ({"account": "a", "share": "half"}, "share: 'half' is not a number"),
        ({"account": "a", "exact": "perhaps"}, "exact: 'perhaps' is not true or false"),
        ({"account": "a", "since": "now"}, "since: 'now' is no time; write then"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said(given: dict[str, str], message: str) -> None:
    with pytest.raises(QuestionError, match=message):
        QUESTION.values(given, parse_time)


def test_a_question_without_parameters_says_so() -> None:
    with pytest.raises(QuestionError, match="held-actions has no parameter 'since'; it has none"):
        find_question("held-actions").values({"since": "7d"}, parse_time)


def test_parameters_fit_in_one_line() -> None:
    assert in_one_line(QUESTION.parameters).startswith("since = now(), account (needed), most = 50")
