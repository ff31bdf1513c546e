"""Models of rows, generated from a sample of a result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter

pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")

from dcipher import Flow
from dcipher._flow_types.generation import module_of
from dcipher.calls import result_type_of
from dcipher.cli.runs.generating import row_models
from tests.flow_types.test_generation import call_in, loaded

if TYPE_CHECKING:
    from pathlib import Path


def generated(path: Path, body: str) -> str:
    path.write_text(body, encoding="utf-8")
    return module_of([Flow(id="f", name="Topics")], {"f": row_models(str(path))})


ROWS = [
    {
        "topic": "a",
        "size": 3,
        "score": 0.5,
        "words": ["x", "y"],
        "meta": {"lang": "en", "n": 1},
        "parts": [{"from": 1}, {"from": 2}],
        "is": True,
    },
    {"topic": "b", "size": 4, "score": None, "words": [], "meta": None, "parts": [], "x-y": "z"},
]


def test_a_row_has_the_types_of_the_sample(tmp_path: Path) -> None:
    """Objects have their own classes. Fields that are null or missing in a row are optional."""
    source = generated(tmp_path / "r.json", json.dumps(ROWS))
    row = loaded(source).Row
    annotations = {name: str(field.annotation) for name, field in row.model_fields.items()}
    assert annotations.pop("meta").endswith("RowMeta | None")
    assert annotations.pop("parts").endswith("RowParts]")
    assert annotations == {
        "topic": "<class 'str'>",
        "size": "<class 'int'>",
        "score": "float | None",
        "words": "list[str]",
        "is_": "bool | None",
        "x_y": "str | None",
    }
    required = [name for name, field in row.model_fields.items() if field.is_required()]
    assert required == ["topic", "size", "words", "parts"]


@pytest.mark.parametrize(
    ("name", "body", "is_list"),
    [
        ("r.json", json.dumps(ROWS), True),
        ("r.ndjson", "\n".join(map(json.dumps, ROWS)), True),
        ("r.json", json.dumps(ROWS[0]), False),
        ("r.json", "[1, 2, 3]", True),
        ("r.json", '["a", null]', True),
        ("r.json", "[[1, 2], []]", True),
        ("r.json", '[{"n": {"a": {"b": [null, {"c": 1}]}}}, {"n": {}}]', True),
        ("r.json", "[]", True),
        ("r.json", "[{}]", True),
    ],
)
def test_the_sample_fits_its_model(tmp_path: Path, name: str, body: str, *, is_list: bool) -> None:
    """The type of the result is that of the class, and the sample is valid."""
    type_ = result_type_of(call_in(generated(tmp_path / name, body)))
    value = json.loads(f"[{','.join(body.splitlines())}]" if name.endswith("ndjson") else body)
    read: Any = TypeAdapter(type_).validate_python(value)
    assert isinstance(read, list) is is_list


def test_columns_of_csv(tmp_path: Path) -> None:
    """A sample of CSV has the types that its cells are written as."""
    row = loaded(generated(tmp_path / "r.csv", "id,day,n\n007,2020-01-01,1\n008,,2\n")).Row
    kinds = {name: str(field.annotation) for name, field in row.model_fields.items()}
    assert kinds["id"] == "<class 'str'>"
    assert kinds["n"] == "<class 'int'>"
