"""The id and the params of a flow, from the arguments of a call; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcipher.errors import InvalidParamsError
from dcipher.errors._hints import with_hint

if TYPE_CHECKING:
    import dcipher
    from dcipher._wire.messages.params import Params

__all__ = ["flow_and_params"]


def flow_and_params(
    flow: str | dcipher.FlowCall[Any], params: Params | None
) -> tuple[str, Params | None]:
    """Returns the id of the flow and its params. A `FlowCall` has both."""
    if isinstance(flow, str):  # most are: nothing is imported for them
        return flow, params
    from dcipher.calls import FlowCall, flow_id_of

    if not isinstance(flow, FlowCall):
        return flow, params
    if params is not None:
        raise with_hint(
            InvalidParamsError(f"{type(flow).__name__} has the params."), "Do not pass params=…."
        )
    return flow_id_of(type(flow)), flow
