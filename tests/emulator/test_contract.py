"""The OpenAPI document: complete, labelled, current, and true for the emulator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dcipher.emulator.contract.contract import FlowResponse, StartResponse, StatusResponse
from dcipher.emulator.contract.openapi import _reduced, _unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dcipher.emulator import Emulator

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "x-dcipher-source"
SOURCES = {"observed", "specified", "assumed"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))
    return loaded


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in document["paths"].values():
        for operation in path.values():
            yield operation["operationId"], operation


def test_the_written_documents_are_up_to_date(document: dict[str, Any]) -> None:
    """docs/openapi.json and the shipped copy equal the document of the emulator."""
    for written in (
        ROOT / "docs" / "openapi.json",
        ROOT / "dcipher" / "_wire" / "messages" / "openapi.json",
    ):
        assert json.loads(written.read_text(encoding="utf-8")) == document


def test_the_emulator_serves_its_contract(emulator: Emulator, document: dict[str, Any]) -> None:
    """GET /openapi.json needs no key, and is the document that is written."""
    assert httpx.get(f"{emulator.url}/openapi.json").json() == document


def test_every_operation_has_its_statuses(document: dict[str, Any]) -> None:
    """The four operations document their responses, without the errors of FastAPI."""
    statuses = {name: set(operation["responses"]) for name, operation in operations(document)}
    api = {"200", "400", "401", "403", "404", "409", "422", "429", "500", "503"}
    files = {"200", "206", "304", "400", "403", "404", "412", "416", "500", "503"}
    assert statuses == {"startRun": api, "getRunStatus": api, "getFlow": api, "getResult": files}
    assert "ValidationError" not in json.dumps(document)
    assert "servers" not in document


def test_everything_has_a_source(document: dict[str, Any]) -> None:
    """Every operation, parameter, status, header and field has one of the three labels."""
    labelled: list[dict[str, Any]] = [document["components"]["securitySchemes"]["ApiKey"]]
    for _, operation in operations(document):
        labelled += [operation, *operation["parameters"], *operation["responses"].values()]
        for response in operation["responses"].values():
            labelled += response["headers"].values()
        labelled += [operation["requestBody"]] if "requestBody" in operation else []
    for schema in document["components"]["schemas"].values():
        labelled += schema.get("properties", {}).values()
    assert len(labelled) > 100
    assert {item.get(SOURCE) for item in labelled} == SOURCES


def test_observed_and_assumed_labels(document: dict[str, Any]) -> None:
    """The labels of some important fields."""
    found = dict(operations(document))
    assert found["startRun"][SOURCE] == found["getRunStatus"][SOURCE] == "observed"
    assert found["getFlow"][SOURCE] == "specified"
    parameters = {p["name"]: p[SOURCE] for p in found["startRun"]["parameters"]}
    assert parameters == {
        "flow_id": "observed",
        "Idempotency-Key": "assumed",
        "Signature-Input": "specified",
        "Signature": "specified",
        "Content-Digest": "specified",
    }


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Each schema is defined, and none without being used."""
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text
    assert text.count('"$ref"') >= len(document["components"]["schemas"])


def test_responses_match_the_contract(
    client: httpx.Client,
    start: Callable[..., httpx.Response],
    finish: Callable[[httpx.Client, str, httpx.Response], dict[str, str]],
) -> None:
    """Real responses validate as the models of the contract, and have no other fields."""
    started = start(client, "shout", text="x")
    flow = client.get("/flows/shout").json()
    status = finish(client, "shout", started)
    for model, answer in (
        (StartResponse, started.json()),
        (FlowResponse, flow),
        (StatusResponse, status),
    ):
        back = model.model_validate(answer, strict=True)
        assert json.loads(back.to_json()) == answer


def test_the_check_names_a_stale_document(tmp_path: Path) -> None:
    """With another document, the check exits with 1 and names the file and the command."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (tmp_path / "dcipher").symlink_to(ROOT / "dcipher")
    for name in ("openapi.py", "generated_files.py"):
        (scripts / name).write_text((ROOT / "scripts" / name).read_text("utf-8"), "utf-8")
    script = str(scripts / "openapi.py")
    done = subprocess.run(  # noqa: S603 (this very interpreter)
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "docs/openapi.json is not up to date: run python scripts/openapi.py"
    ]


def test_the_reduction_keeps_names() -> None:
    """A field called title remains; titles, null defaults and wrappers are removed."""
    schema = {
        "title": "T",
        "properties": {"title": {"title": "Title", "type": "string", "default": None}},
        "additionalProperties": True,
        "items": [{"allOf": [{"$ref": "#/x"}], "description": "d"}],
    }
    assert _reduced(schema) == {
        "properties": {"title": {"type": "string"}},
        "items": [{"$ref": "#/x", "description": "d"}],
    }
    assert _unwrapped({"anyOf": [{"type": "string"}, {"type": "null"}]}) == {"type": "string"}
