"""Structured fields of RFC 9651: parsed and written as by another library."""

from __future__ import annotations

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcipher.signing.structured_fields import (
    InnerList,
    Item,
    StructuredFieldError,
    Token,
    decode_base64,
    parse_dictionary,
    serialize,
    serialize_inner_list,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-999999999999999", -999999999999999),
        ('""', ""),
        (r'"a\"\\b"', 'a"\\b'),
        ("a/b:*", Token("a/b:*")),
        ("*", Token("*")),
        ("::", b""),
        (":AAA=:", b"\0\0"),
        ("?0", False),
        ("?1", True),
    ],
)
def test_a_bare_item_is_read_and_written(text, value):
    """Each type of item is a Python value of its own type, and is serialized unchanged."""
    assert parse_dictionary(f"key={text}") == {"key": Item(value, {})}
    (item,) = parse_dictionary(f"key={text}").values()
    assert isinstance(item, Item)
    assert type(item.value) is type(value)
    assert serialize(value) == text


def test_items_have_parameters_and_stand_in_lists():
    """Members without a value are true, and the last of two parameters of one name counts."""
    assert parse_dictionary(' a;x , b=( "c";y=2;y=3  d );z=:AA==: ') == {
        "a": Item(value=True, params={"x": True}),
        "b": InnerList([Item("c", {"y": 3}), Item(Token("d"), {})], {"z": b"\0"}),
    }


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", "malformed at character 0"),
        ("A=1", "malformed at character 0"),
        ("a=", "malformed at character 2"),
        ("a=1.5", "malformed at character 3"),
        ("a=1234567890123456", "malformed at character 17"),
        ("a=@1", "malformed at character 2"),
        ('a="\x7f"', "malformed at character 2"),
        ("a=:A:", "malformed at character 5"),
        ("a=(1", "malformed at character 4"),
        ('a=("b""c")', "malformed at character 6"),
        ("a=1,", "malformed at character 4"),
        ("a=1, a=2", "the key a is repeated"),
    ],
)
def test_a_malformed_dictionary_is_rejected_with_its_position(text, refusal):
    """Malformed, unsupported or repeated items are an error with the position."""
    with pytest.raises(StructuredFieldError, match=rf"^{refusal}$"):
        parse_dictionary(text)


@pytest.mark.parametrize("text", ["é", "a\nb", "\x7f", "\0"])
def test_a_string_that_a_header_cannot_contain_is_rejected(text):
    """Only printable ASCII is serialized, and the error does not repeat the text."""
    with pytest.raises(StructuredFieldError, match="ASCII") as caught:
        serialize(text)
    assert text not in str(caught.value)


def test_a_string_of_a_subclass_is_a_string():
    """Only a `Token` is written without quotes."""
    assert serialize(type("Text", (str,), {})("a")) == '"a"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", b""), ("AAAA", b"\0\0\0"), ("AAA", b"\0\0"), ("AA==", b"\0"), ("A", None)],
)
def test_base64_may_lack_its_padding(text, expected):
    """Padding may be missing, a single digit over is no byte."""
    assert decode_base64(text) == expected


def member_text() -> st.SearchStrategy[str]:
    bare = st.from_regex(
        r'-?[0-9]{1,15}|"([ !#-\[\]-~]|\\["\\])*"|:([A-Za-z0-9+/]{4})*:'
        r"|\?[01]|[A-Za-z*][a-z0-9:/.-]*",
        fullmatch=True,
    )
    key = st.from_regex(r"[a-z*][a-z0-9_.*-]{0,3}", fullmatch=True)
    param = st.builds("; {}={}".format, key, bare) | key.map(";{}".format)
    params = st.lists(param, max_size=3).map("".join)
    item = st.builds("{}{}".format, bare, params)
    inner = st.builds("( {} ){}".format, st.lists(item, max_size=3).map("  ".join), params)
    return st.builds("{}={}".format, key, inner)


@given(
    st.lists(member_text(), min_size=1, max_size=3, unique_by=lambda text: text.partition("=")[0]),
    st.integers(0, 200),
    st.sampled_from(["", ",", '"', " ", "(", ";", "1", "\t", "é"]),
)
def test_structured_fields_are_parsed_as_by_another_library(members, position, noise):
    """Accepted fields are well-formed, and are serialized in the same canonical form."""
    text = ", ".join(members)
    text = text[:position] + noise + text[position:]
    try:
        ours = parse_dictionary(text.strip(" \t"))
    except StructuredFieldError:
        assert noise
        return
    lists = {name: value for name, value in ours.items() if isinstance(value, InnerList)}
    if len(lists) == len(ours):
        written = ", ".join(f"{k}={serialize_inner_list(v)}" for k, v in lists.items())
        theirs = http_sf.parse(text.strip(" \t").encode(), tltype="dictionary")
        assert written == http_sf.ser(theirs)
