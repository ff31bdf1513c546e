"""The body of an error, in any form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcipher._wire.errors.error_bodies import error_response, is_about_an_error
from dcipher.models import ErrorResponse, FieldError


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "m"}, "m"),
        ({"message": "m", "detail": "d", "title": "t", "error": "e"}, "m"),
        ({"error": "e"}, "e"),
        ({"error": {"message": "e", "code": 5}}, "e"),
        ({"detail": "d", "title": "t"}, "d"),
        ({"title": "t"}, "t"),
        ({"type": "about:blank"}, None),
        ({"message": 5, "detail": "d"}, "d"),
        ({"message": "  ", "error": {"message": ""}, "title": "t"}, "t"),
        ({"detail": [{"msg": "a"}, {"loc": ["b", 0], "msg": "c"}]}, "a; b.0: c"),
    ],
)
def test_the_message(body: dict[str, Any], message: str | None) -> None:
    """Dcipher's message first, then a gateway's error, then detail and title, then the fields."""
    found = error_response(body)
    assert found is not None
    assert found.message == message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": 5},
        {"message": None},
        {"detail": {}},
        {"detail": []},
        {"error": []},
        {"errors": 5},
    ],
)
def test_a_body_that_says_nothing(body: dict[str, Any]) -> None:
    """Without any words, there is no error response."""
    assert error_response(body) is None


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {"loc": ["body", "top", 0], "msg": "m", "type": "int_type", "input": "SECRET"},
            FieldError(loc=("body", "top", 0), message="m", type="int_type"),
        ),
        (
            {"detail": "m", "pointer": "#/params/top"},
            FieldError(loc=("params", "top"), message="m"),
        ),
        ({"message": "m", "loc": [None, 1.5]}, FieldError(loc=("None", "1.5"), message="m")),
        ({"msg": "m", "loc": "top", "type": 5}, FieldError(message="m")),
        ({"msg": "m"}, FieldError(message="m")),
    ],
)
@pytest.mark.parametrize("name", ["detail", "errors"])
def test_field_errors(name: str, item: dict[str, Any], expected: FieldError) -> None:
    """FastAPI's and RFC 9457's lists, under either name."""
    found = error_response({name: [item]})
    assert found is not None
    assert found.field_errors == (expected,)


def test_items_that_say_nothing_are_left_out() -> None:
    """A list of other things names no fields."""
    detail = [5, None, {}, {"msg": 5}]
    found = error_response({"detail": detail, "message": "m"})
    assert found == ErrorResponse.model_validate({"message": "m", "detail": detail})


@pytest.mark.parametrize(
    ("pointer", "loc"),
    [
        ("#/a~01b", ("a~1b",)),  # RFC 6901 section 4: ~1 first, then ~0
        ("/a/0", ("a", "0")),
        ("#", ()),
        ("", ()),
        (5, ()),
    ],
)
def test_a_pointer_of_any_kind(pointer: object, loc: tuple[str, ...]) -> None:
    """With or without the mark of a fragment; what is none points nowhere."""
    found = error_response({"errors": [{"detail": "m", "pointer": pointer}]})
    assert found is not None
    assert found.field_errors[0].loc == loc


def test_a_pointer_is_decoded() -> None:
    """RFC 9457 section 3: a pointer is a URI fragment (RFC 6901 section 6), with `~1`, `~0` and `%`."""
    found = error_response({"errors": [{"detail": "m", "pointer": "#/a~1b/c~0d/e%20f"}]})
    assert found is not None
    assert found.field_errors[0].loc == ("a/b", "c~d", "e f")


def test_other_fields_are_kept() -> None:
    """What is not known stays, and what the body was is not changed."""
    body = {"message": "m", "detail": ["d"], "code": 5, "instance": "/i", "field_errors": "x"}
    before = dict(body)
    found = error_response(body)
    assert found is not None
    assert found.instance == "/i"
    assert found.model_extra == {"code": 5, "detail": ["d"]}
    assert found.field_errors == ()
    assert body == before


keys = st.sampled_from(
    [
        "message",
        "detail",
        "title",
        "type",
        "instance",
        "error",
        "errors",
        "field_errors",
        "loc",
        "msg",
        "pointer",
        "self",
        "model_config",
        "__class__",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=15,
)


@given(st.dictionaries(keys, values, max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_body_is_read(body: dict[str, Any]) -> None:
    """Whatever the JSON: an error response with words of some kind, or none; never an exception."""
    found = error_response(body)
    if found is not None:
        assert any((found.message, found.field_errors, found.title, found.type, found.instance))
        assert all(isinstance(str(field), str) for field in found.field_errors)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
@pytest.mark.parametrize(
    ("status_code", "shown"), [(203, False), (399, False), (400, True), (599, True), (600, False)]
)
def test_what_is_about_an_error(status_code: int, kind: str, shown: bool) -> None:
    """A status that is none of an error may come with the result, which is not quoted."""
    assert is_about_an_error(status_code, {"content-type": kind}) is shown
