"""The table of mutations matches the product."""

from __future__ import annotations

from pathlib import Path

import pytest

import dcipher
from tests.faults.mutations import MUTATIONS, Mutation

PACKAGE = Path(dcipher.__file__).parent
TESTS = Path(__file__).parents[1]


@pytest.mark.thorough
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.behaviour)
def test_the_old_text_exists(mutation: Mutation) -> None:
    """The file of each mutation contains its old text once, which differs from the new one; its tests exist."""
    assert (PACKAGE / mutation.file).read_text(encoding="utf-8").count(mutation.old) == 1
    assert mutation.old != mutation.new
    assert all((TESTS / test).exists() for test in mutation.tests)
