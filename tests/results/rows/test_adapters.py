"""The cached adapters, one for each type."""

from __future__ import annotations

from typing import Annotated

from dcipher._results.parsing.adapters import adapter_for
from tests.results.rows.reading import Topic


def test_adapters_are_cached_by_type() -> None:
    """The adapter of a type is built once. Equal unions in another order have their own."""
    assert adapter_for(list[Topic]) is adapter_for(list[Topic])
    assert adapter_for(int | str) is not adapter_for(str | int)


def test_a_type_without_a_hash_is_a_type() -> None:
    """Metadata that cannot be hashed does not matter."""
    assert adapter_for(Annotated[int, ["unhashable"]]).validate_json("1") == 1
