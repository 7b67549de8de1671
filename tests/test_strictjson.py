"""What goes through the parser and the writer comes out as it was, or is refused."""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauthsync.strictjson import MAX_DEPTH, Fraction, Json, canonical, encode, parse, write

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INTEGERS = st.integers() | st.integers(-(10**400), 10**400)
FRACTIONS = st.from_regex(
    r"\A-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?\Z"
).filter(lambda text: not text.lstrip("-").isdigit() or text == "-0")
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT | FRACTIONS.map(Fraction),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXT, values, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_parsed_to_the_same_value(value: Json) -> None:
    for text in (canonical(value), write(value)):
        again = parse(text.encode("utf-8"))
        assert canonical(again) == canonical(value)
        assert again == value
    assert parse(canonical(value)) == value


@given(VALUES)
def test_canonical_text_is_its_own_canonical_text(value: Json) -> None:
    text = canonical(value)
    assert canonical(parse(text)) == text
    assert encode(parse(text)).decode("utf-8") == text


@given(VALUES, VALUES)
def test_only_equal_values_have_the_same_canonical_text(one: Json, other: Json) -> None:
    # To Python `True == 1`; the text of the type tells them apart.
    assert (canonical(one) == canonical(other)) == (repr(sort(one)) == repr(sort(other)))


def sort(value: Json) -> Json:
    match value:
        case dict():
            return {name: sort(value[name]) for name in sorted(value)}
        case list():
            return [sort(item) for item in value]
        case _:
            return value


@given(VALUES)
def test_the_order_of_keys_makes_no_difference(value: Json) -> None:
    assert canonical(backwards(value)) == canonical(value)
    assert canonical(parse(write(backwards(value)))) == canonical(value)


def backwards(value: Json) -> Json:
    match value:
        case dict():
            return {name: backwards(value[name]) for name in reversed(value)}
        case list():
            return [backwards(item) for item in value]
        case _:
            return value


@given(FRACTIONS | INTEGERS.map(str))
def test_every_number_keeps_its_text(text: str) -> None:
    assert canonical(parse(text)) == text
    assert canonical(parse(f'{{"data":[{text},{{"x":{text}}}]}}')) == (
        f'{{"data":[{text},{{"x":{text}}}]}}'
    )


@pytest.mark.parametrize(
    "text", ["1.0", "1e400", "-0", "-0.0", "0.1000000000000000055511151231257827", "1E+2", "-1e-9"]
)
def test_a_number_that_python_would_change_stays_what_it_was(text: str) -> None:
    assert write(parse(f"[{text}, -7, 12]")) == f"[{text},-7,12]"
    assert parse(text) == Fraction(text)
    assert hash(parse(text)) == hash(Fraction(text))


def test_a_text_that_looks_like_minus_zero_is_a_text() -> None:
    assert parse('{"zone": "-07:00", "text": "-0 ", "number": 5}') == {
        "zone": "-07:00",
        "text": "-0 ",
        "number": 5,
    }


def test_keys_are_sorted_by_code_point_at_every_depth_and_nothing_is_escaped_in_vain() -> None:
    text = '{"é": 1, "z": {"b": 1.0, "a": "\\u00fc\\/\\n"}, "Z": [], "😀": null, "\\uff00": true}'
    assert canonical(parse(text)) == (
        '{"Z":[],"z":{"a":"ü/\\n","b":1.0},"é":1,"\uff00":true,"😀":null}'
    )
    assert write(parse(text)) == '{"é":1,"z":{"b":1.0,"a":"ü/\\n"},"Z":[],"😀":null,"\uff00":true}'


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "Expecting value (line 1, column 1)"),
        (b'{"a": 1,\n "canary" 2}', "Expecting ':' delimiter (line 2, column 11)"),
        (b"[1] canary", "Extra data (line 1, column 5)"),
        (b'"canary\x01"', "Invalid control character at (line 1, column 8)"),
        (b"<html>canary</html>", "Expecting value (line 1, column 1)"),
        (b"\xef\xbb\xbf{}", "Expecting value (line 1, column 1)"),
        (b'"canary \xff"', "not UTF-8"),
        ('"canary ü"'.encode("utf-16"), "not UTF-8"),
        (b'{"canary": 1, "canary": 1}', "a key stands twice in one object"),
        (b'[{"x": {"a": 1, "\\u0061": 2}}]', "a key stands twice in one object"),
        (b"[NaN]", "NaN is not JSON"),
        (b"-Infinity", "-Infinity is not JSON"),
        (b'"canary \\ud800"', "a lone surrogate"),
        (b'{"\\uDC00": 1.5}', "a lone surrogate"),
        (b'["\\ud8001.5", 1.5]', "a lone surrogate"),
        ('"canary \ud800"', "a lone surrogate"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested more than 100 deep"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "nested more than 100 deep"),
        (b"[" * 1_000_000, "nested more than 100 deep"),
        (b'{"":' * 1_000_000, "nested more than 100 deep"),
    ],
)
def test_what_would_be_lost_is_refused_and_never_quoted(document: bytes | str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(document)
    assert str(caught.value) == why
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert "canary" not in repr((caught.value.__cause__, caught.value.__context__))


def test_an_integer_that_python_does_not_convert_is_refused() -> None:
    assert parse("9" * 4300) == 10**4300 - 1
    with pytest.raises(ValueError, match="4300 digits"):
        parse("9" * 4301)
    with pytest.raises(ValueError, match="4300 digits"):
        parse(f"[-0, {'9' * 4301}]")


def test_an_escaped_pair_of_surrogates_is_a_character() -> None:
    assert parse(b'"\\ud83d\\ude00 \\uD83D\\uDE00"') == "😀 😀"


@given(st.binary(max_size=60) | st.text(max_size=60) | VALUES.map(write))
def test_any_document_is_a_value_or_a_value_error(document: bytes | str) -> None:
    try:
        value = parse(document)
    except ValueError:
        return
    assert parse(canonical(value)) == value


@pytest.mark.parametrize("leaf", ["1", "1.5"])
def test_the_deepest_value_can_be_written_from_deep_in_a_program(leaf: str) -> None:
    text = '[{"a":' * (MAX_DEPTH // 2) + leaf + "}]" * (MAX_DEPTH // 2)
    value = parse(text)

    def deep(levels: int) -> str:
        return deep(levels - 1) if levels else canonical(parse(canonical(value)))

    assert deep(400) == text


def test_a_value_that_no_document_had_is_a_value_error_too_where_it_is_too_deep() -> None:
    for leaf in (1, Fraction("1.5")):
        value: Json = leaf
        for _ in range(100_000):
            value = [value]
        for writer in (canonical, write, encode):
            with pytest.raises(ValueError, match="nested more than 100 deep"):
                writer(value)
        while isinstance(value, list):  # taken apart: freeing it at once recurses as well
            value = value.pop()


@pytest.mark.parametrize("text", ["canary \udcff", "\ud800", "\ud8001.5"])
def test_a_lone_surrogate_is_not_encoded_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a lone surrogate$") as caught:
        encode({"name": text, "version": Fraction("1.5")})
    assert caught.value.__context__ is None


def test_what_is_no_json_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError):
        write({"a": [Fraction("1.5"), object()]})  # type: ignore[list-item]
