"""The table of mutations matches the product."""

from __future__ import annotations

from pathlib import Path

import pytest

import dcipher
from tests.faults.mutations import MUTATIONS, Mutation

PACKAGE = Path(dcipher.__file__).parent


@pytest.mark.thorough
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.says)
def test_there_is_what_it_breaks(mutation: Mutation) -> None:
    """The old text of each mutation stands where it says, and is another than the new one."""
    assert mutation.old in (PACKAGE / mutation.file).read_text(encoding="utf-8")
    assert mutation.old != mutation.new
