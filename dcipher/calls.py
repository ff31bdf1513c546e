"""A call of a flow with types: its params as a model, and the type of its result."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, ClassVar, Generic, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeIs, Unpack

from dcipher.errors._hints import with_hint

from .errors import InvalidParamsError

__all__ = ["FlowCall", "flow_id_of", "result_type_of", "unset_params"]

R = TypeVar("R")


class FlowCall(BaseModel, Generic[R]):
    """The parameters of a flow as a Pydantic model, with the type of its result.

    Subclass it with the type of the result and the id of the flow:

    ```python
    class Topics(FlowCall[list[Topic]], flow="65cf2f3e"):
        text: str
        top: int = Field(default=5, alias="topN")
    ```

    `client.call(Topics(text="…"))` returns a `list[Topic]`. `flows.start`, `flows.run` and
    `flows.map` accept it instead of an id and parameters. A `FlowCall` is frozen, rejects unknown
    fields, is sent by alias, and can be the body of a FastAPI endpoint. A field whose default is
    `None` is sent
    only if it is set; otherwise, the service uses its own default.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=()
    )

    __flow__: ClassVar[str] = ""
    """The id of the flow."""

    def __init_subclass__(cls, *, flow: str | None = None, **config: Unpack[ConfigDict]) -> None:
        super().__init_subclass__(**config)
        if flow is None:
            return
        text: object = flow
        if not isinstance(text, str) or not text.strip():
            raise TypeError(f'{cls.__name__}: flow="…" must be the id of a flow.')
        cls.__flow__ = flow


def is_call(row: object) -> TypeIs[FlowCall[Any]]:
    """Returns whether this is a call of a flow."""
    return isinstance(row, FlowCall)


def flow_id_of(call: type[FlowCall[Any]]) -> str:
    """Returns the id of the flow. Raises `InvalidParamsError` for a class that has none."""
    if not call.__flow__:
        raise with_hint(
            InvalidParamsError(f"{call.__name__} has no flow."),
            f'Name it where the class is defined: class {call.__name__}(FlowCall[…], flow="…").',
        )
    return call.__flow__


def unset_params(call: FlowCall[Any]) -> set[str]:
    """Returns the fields that are not sent: their default is None, and nobody set them."""
    unset = type(call).model_fields.keys() - call.model_fields_set
    return {name for name in unset if getattr(call, name) is None}


def result_type_of(call: type[FlowCall[Any]]) -> Any:
    """Returns the type of the result, `Any` where the class names none."""
    for base in call.__mro__:
        generic: dict[str, Any] = getattr(base, "__pydantic_generic_metadata__", {})
        if generic.get("origin") is FlowCall:
            return _resolved(generic["args"][0], call)
    return Any


def _resolved(type_: Any, call: type[FlowCall[Any]]) -> Any:
    """Returns the type behind a name in quotes, as the module of the class knows it."""
    module = vars(sys.modules.get(call.__module__, sys))
    holder = SimpleNamespace(__annotations__={"result": type_})
    return get_type_hints(holder, globalns=module, include_extras=True)["result"]
