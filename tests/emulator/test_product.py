"""The arguments of an emulator: its clock, its seed, its flows, and invalid ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from dcipher import Dcipher
from dcipher.emulator import Emulator, Flows
from dcipher.emulator.faults import Respond
from tests.waiting import HANG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAN, INF = float("nan"), float("inf")


def test_the_clock_is_faster() -> None:
    """At 1000, forty emulated minutes of accepting, queueing and running take seconds, and not less."""
    emulator = Emulator(
        accept_time=60, queue_time=60, min_run_time=300, time_scale=1000, url_lifetime=900
    )
    emulator.flow("plain")(lambda: 1)
    emulator.flow("long", duration=400)(lambda: 1)
    with emulator, Dcipher(emulator.api_key, base_url=emulator.url) as client:
        for flow_id, least in (("plain", 0.48), ("long", 0.58)):
            began = time.monotonic()
            run = client.runs.wait(client.flows.start(flow_id), timeout=HANG, poll_interval=0.05)
            assert least <= time.monotonic() - began < HANG
            # What the wire promises stays: the URL is valid for its 900 seconds.
            expires_at = run.outputs[0].expires_at
            assert expires_at is not None
            assert 850 < expires_at.timestamp() - time.time() <= 901


def test_retry_after_is_in_real_seconds() -> None:
    """The rate limit is in real time, with any clock."""
    with Emulator(rate=1, time_scale=1000) as emulator:
        headers = {"Authorization": f"Api-Key {emulator.api_key}"}
        responses = [httpx.get(f"{emulator.url}/flows/x", headers=headers) for _ in range(2)]
    assert [response.status_code for response in responses] == [404, 429]
    assert responses[1].headers["retry-after"] == "1"


def test_a_seed_decides_faults_by_chance() -> None:
    """The same seed breaks the same requests, another one others; without one it is the fault's."""

    def broken(seed: int | None) -> list[int]:
        with Emulator(seed=seed) as emulator:
            emulator.flow("f")(lambda: 1)
            emulator.fault("flow", Respond(503), times=None, probability=0.5)
            headers = {"Authorization": f"Api-Key {emulator.api_key}"}
            with httpx.Client(base_url=emulator.url, headers=headers) as client:
                return [client.get("/flows/f").status_code for _ in range(40)]

    assert broken(1) == broken(1)
    assert broken(1) != broken(2)
    assert broken(None) == broken(None)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"queue_time": NAN}, ValueError),
        ({"queue_time": -0.1}, ValueError),
        ({"queue_time": "1"}, TypeError),
        ({"min_run_time": INF}, ValueError),
        ({"min_run_time": None}, TypeError),
        ({"accept_time": -1}, ValueError),
        ({"accept_time": True}, TypeError),
        ({"time_scale": 0}, ValueError),
        ({"time_scale": NAN}, ValueError),
        ({"time_scale": "fast"}, TypeError),
        ({"url_lifetime": NAN}, ValueError),
        ({"rate": -INF}, ValueError),
        ({"rate": "5"}, TypeError),
        ({"seed": 1.5}, TypeError),
        ({"seed": True}, TypeError),
        ({"port": -1}, ValueError),
        ({"port": 65536}, ValueError),
        ({"port": "80"}, TypeError),
        ({"max_workers": 1.0}, TypeError),
        ({"host": None}, TypeError),
        ({"api_key": 7}, TypeError),
        ({"api_key": "emu_"}, ValueError),
        ({"api_key": "emu_a\nb"}, ValueError),
        ({"api_secret": ""}, ValueError),
        ({"api_secret": b"made-up"}, TypeError),
        ({"state_dir": 7}, TypeError),
        ({"state_dir": b"state"}, TypeError),
        ({"state_dir": ""}, ValueError),
    ],
    ids=str,
)
def test_arguments_are_checked(arguments: dict[str, Any], kind: type[Exception]) -> None:
    """At once, with the name of the argument, and without a key or a secret in the message."""
    (name,) = arguments
    with pytest.raises(kind, match=name.removeprefix("api_")) as caught:
        Emulator(**arguments)
    assert "made-up" not in str(caught.value)


def test_nothing_is_made_before_the_start(tmp_path: Path) -> None:
    """An emulator that is never started touches no folder."""
    Emulator(state_dir=tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


def test_flows_are_collected_without_an_emulator() -> None:
    """A `Flows` has the arguments of `Emulator.flow`. The functions are unchanged."""
    flows = Flows()

    @flows.flow("shout", name="Louder", duration=0.2, outputs=2)
    def shout(text: str) -> tuple[str, str]:
        return text.upper(), text

    assert shout("a") == ("A", "a")
    assert repr(flows) == "<Flows shout>"
    assert repr(Flows()) == "<Flows (none)>"
    with pytest.raises(ValueError, match="already"):
        flows.flow("shout")(shout)
    for _ in range(2):  # one for several emulators
        emulator = Emulator(queue_time=0)
        emulator.add_flows(flows)
        with emulator, Dcipher(emulator.api_key, base_url=emulator.url) as client:
            assert client.flows.get("shout").name == "Louder"
            run = client.flows.run("shout", {"text": "a"})
            assert client.runs.read(run, bytes, output_index=1) == b"a"


def test_flows_with_a_registered_id_are_rejected() -> None:
    """None of them is registered then."""
    flows = Flows()
    flows.flow("mine")(lambda: 1)
    flows.flow("topics")(lambda: 1)
    with Emulator(sample_flows=True) as emulator:
        with pytest.raises(ValueError, match="'topics' is already registered"):
            emulator.add_flows(flows)
        headers = {"Authorization": f"Api-Key {emulator.api_key}"}
        assert httpx.get(f"{emulator.url}/flows/mine", headers=headers).status_code == 404


@pytest.mark.parametrize("duration", [NAN, -1.0, "5"])
def test_the_duration_of_a_flow_is_checked(duration: Any) -> None:
    """When it is registered, not when it runs."""
    register: Callable[..., Any] = Emulator().flow("f", duration=duration)
    with pytest.raises((TypeError, ValueError), match="duration of a flow"):
        register(lambda: 1)
