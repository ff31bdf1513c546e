"""Typed calls: `client.call(Topics(text=…))`, and calls instead of id and params."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from pydantic import BaseModel, Field, ValidationError

from dcipher import FlowCall, InvalidParamsError, ResultParseError
from dcipher.calls import flow_id_of, result_type_of

if TYPE_CHECKING:
    from dcipher.emulator import Emulator
    from tests.conftest import Connect
    from tests.faulty import FaultyServer


class Text(BaseModel):
    text: str


class Shout(FlowCall[Text], flow="shout"):
    """Repeats a text, loudly."""

    text: str
    count: int = Field(default=1, alias="times")


class Loud(Shout):
    """Another one of the same flow."""


class Later(FlowCall["list[Text]"], flow="rows"):
    """Its result's type is a name in quotes."""


class Numbers(FlowCall[list[int]], flow="shout"):
    """Expects another type than that of the flow's result."""

    text: str


def test_a_call_returns_the_result_in_its_type(connect: Connect, emulator: Emulator) -> None:
    """`client.call` starts the flow of the class, waits, and validates the result."""
    with connect(emulator) as client:
        assert client.call(Shout(text="hey", times=2)) == Text(text="HEYHEY")


def test_a_call_reports_its_status(connect: Connect, emulator: Emulator) -> None:
    """`client.call` passes its options on to the run."""
    states: list[Any] = []
    with connect(emulator) as client:
        client.call(
            Shout(text="hey"), on_status=states.append, idempotency_key="one", wait_timeout=50
        )
    assert states[-1].succeeded
    assert states[-1].idempotency_key == "one"


def test_a_result_of_another_type(connect: Connect, emulator: Emulator) -> None:
    """A result that does not fit the type of the call is a `ResultParseError`."""
    with connect(emulator) as client, pytest.raises(ResultParseError):
        client.call(Numbers(text="hey"))


def test_a_call_is_sent_by_alias(connect: Connect, api: FaultyServer) -> None:
    """`flows.start` and `flows.run` accept a call instead of id and params, and send it by alias."""
    with connect(api) as client:
        started = client.flows.start(Renamed(text="a", count=3))
        finished = client.flows.run(Renamed(text="a"))
    assert (started.flow_id, finished.flow_id) == ("f", "f")
    bodies = [request.body for request in api.requests if request.method == "POST"]
    assert bodies[0] == b'{"pipelineParams":{"text":"a","times":3}}'
    assert bodies[1] == b'{"pipelineParams":{"text":"a","times":1}}'


class Renamed(Shout, flow="f"):
    """The same call of another flow."""


@pytest.mark.parametrize("method", ["start", "run"])
def test_params_beside_a_call(connect: Connect, api: FaultyServer, method: str) -> None:
    """Params beside a call are rejected before anything is sent."""
    with connect(api) as client, pytest.raises(InvalidParamsError, match="Do not pass params"):
        getattr(client.flows, method)(Renamed(text="a"), {"text": "b"})
    assert api.requests == []


def test_a_call_without_a_flow(connect: Connect, api: FaultyServer) -> None:
    """A class without a flow is rejected before anything is sent, with the line that names one."""

    class Homeless(FlowCall[Text]):
        text: str

    with connect(api) as client, pytest.raises(InvalidParamsError, match='flow="…"'):
        client.flows.start(Homeless(text="a"))
    assert api.requests == []


def test_the_attributes_of_a_class() -> None:
    """A class has its flow and the type of its result. A subclass has those of its base."""
    assert (flow_id_of(Shout), result_type_of(Shout)) == ("shout", Text)
    assert (flow_id_of(Loud), result_type_of(Loud)) == ("shout", Text)
    assert (flow_id_of(Renamed), result_type_of(Renamed)) == ("f", Text)
    assert result_type_of(Later) == list[Text]

    class Untyped(FlowCall, flow="f"):  # type: ignore[type-arg]
        pass

    assert result_type_of(Untyped) is Any


@pytest.mark.parametrize("flow", ["", "  ", 5])
def test_an_invalid_flow_id(flow: Any) -> None:
    """It is rejected when the class is defined."""
    with pytest.raises(TypeError, match="Broken"):

        class Broken(FlowCall[Text], flow=flow):
            pass


def test_a_call_is_frozen_and_strict() -> None:
    """A call cannot be changed, and rejects an unknown field."""
    call = Shout(text="a")
    with pytest.raises(ValidationError):
        call.text = "b"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Shout(text="a", tiems=2)  # type: ignore[call-arg]


def test_fields_of_any_name() -> None:
    """A field may have a name that Pydantic reserves, or one of this class's own."""

    class Reserved(FlowCall[Text], flow="f"):
        model_name: str
        flow: str

    assert Reserved(model_name="a", flow="b").model_dump() == {"model_name": "a", "flow": "b"}


def test_a_call_as_the_body_of_an_endpoint() -> None:
    """FastAPI accepts a call as a body, by alias, and rejects an invalid one."""
    pytest.importorskip("fastapi")
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/shout")
    def shout(call: Shout) -> dict[str, Any]:
        return {"count": call.count}

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return [
                await client.post("/shout", json={"text": "a", "times": 4}),
                await client.post("/shout", json={"times": 4}),
                await client.get("/openapi.json"),
            ]

    taken, refused, described = anyio.run(ask)
    assert taken.json() == {"count": 4}
    assert refused.status_code == 422
    properties = described.json()["components"]["schemas"]["Shout"]["properties"]
    assert properties.keys() == {"text", "times"}
