"""Flows: Python functions whose params are validated from their annotations."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast, final

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_jsonable_python
from typing_extensions import override

from dcipher._typing.annotations import is_class
from dcipher.emulator.contract.arguments import number
from dcipher.emulator.contract.contract import FieldError, FlowParam, FlowResponse
from dcipher.emulator.contract.unmatched import no_flow
from dcipher.emulator.gate.refusals import Refusal

__all__ = ["Flow", "FlowRegistry", "Flows"]

F = TypeVar("F", bound="Callable[..., object]")

_BODY = ("body", "pipelineParams")
_ID = re.compile(r"[^\s/\\?#%\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Flow:
    """A function with its flow id and the options of its runs."""

    function: Callable[..., object]
    params: _Params
    description: FlowResponse
    restricted: bool = False
    duration: float | None = None
    outputs: int = 1

    @property
    def id(self) -> str:
        """The id, as in the path."""
        return self.description.id

    @property
    def schema(self) -> Mapping[str, JsonValue]:
        """The JSON Schema of its params; empty if Pydantic cannot create one."""
        return _schema(self.params.model)

    def bind(self, values: Mapping[str, JsonValue]) -> Callable[[], object]:
        """Returns the call for a run. Raises a `Refusal` with 422 if the values are invalid."""
        try:
            model = self.params.model.model_validate(values)
        except ValidationError as error:
            raise _invalid(error) from None
        function, params = self.function, self.params
        return lambda: params.call(function, model)


@dataclass(frozen=True, slots=True)
class _Params:
    """The params of a function: the model that validates them, and the names of its arguments."""

    model: type[BaseModel]
    names: tuple[str, ...] | None
    """The parameters of the function, in the order of the model's fields; None: it takes the model."""

    @classmethod
    def of(cls, function: Callable[..., object]) -> _Params:
        parameters = _signature(function).parameters
        whole = parameters["params"].annotation if list(parameters) == ["params"] else None
        if is_class(whole) and issubclass(whole, BaseModel):
            return cls(whole, None)
        # Fields are called p0, p1, …, the names are aliases: a param may then be called "json" or
        # "schema", which a Pydantic model has as attributes.
        names: dict[str, str] = {}
        fields: dict[str, tuple[object, object]] = {}
        extra = False
        for name, parameter in parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                extra = True
                continue
            if parameter.kind not in _BY_NAME:
                raise TypeError(
                    f"The params of a flow need names, but {function!r} takes {parameter} by position only."
                )
            field = f"p{len(fields)}"
            names[field] = name
            default: object = parameter.default
            fields[field] = (
                object if parameter.annotation is inspect.Parameter.empty else parameter.annotation,
                ... if default is inspect.Parameter.empty else default,
            )
        make = cast("Callable[..., type[BaseModel]]", create_model)
        model = make(
            "Params",
            __config__=ConfigDict(
                extra="allow" if extra else "forbid",
                alias_generator=names.__getitem__,
                arbitrary_types_allowed=True,
            ),
            **fields,
        )
        return cls(model, tuple(names.values()))

    def call(self, function: Callable[..., object], model: BaseModel) -> object:
        if self.names is None:
            return function(model)
        values: dict[str, object] = {
            name: getattr(model, f"p{index}") for index, name in enumerate(self.names)
        }
        return function(**values, **(model.model_extra or {}))

    def describe(self) -> list[FlowParam]:
        schema = _schema(self.model)
        properties = _object(schema.get("properties"))
        return [
            FlowParam(
                name=name,
                type=_type_word(schema, _object(properties.get(name))),
                required=info.is_required(),
                default=_default(info),
                description=info.description,
            )
            for field, info in self.model.model_fields.items()
            for name in [info.alias or field]
        ]


@final
class FlowRegistry:
    """The flows of an emulator by their ids."""

    def __init__(self) -> None:
        self._flows: dict[str, Flow] = {}

    def add(
        self,
        flow_id: str,
        function: Callable[..., object],
        *,
        name: str | None = None,
        description: str | None = None,
        restricted: bool = False,
        duration: float | None = None,
        outputs: int = 1,
    ) -> Flow:
        """Registers a function. Raises ValueError or TypeError if it cannot be a flow."""
        if not _ID.fullmatch(flow_id):
            raise ValueError(
                f"{flow_id!r} is not a flow id: it must not contain blanks, or any of /\\?#%."
            )
        self._check_free(flow_id)
        if outputs < 1:
            raise ValueError("outputs must be 1 or more.")
        if duration is not None:
            _ = number("The duration of a flow", duration)
        params = _Params.of(function)
        flow = Flow(
            function=function,
            params=params,
            description=FlowResponse(
                id=flow_id,
                name=name or getattr(function, "__name__", flow_id).replace("_", " ").capitalize(),
                description=description or inspect.getdoc(function),
                params=params.describe(),
            ),
            restricted=restricted,
            duration=duration,
            outputs=outputs,
        )
        self._flows[flow_id] = flow
        return flow

    def include(self, other: FlowRegistry) -> None:
        """Registers all flows of another registry, or raises ValueError if one of the ids is registered."""
        for flow_id in other._flows:
            self._check_free(flow_id)
        self._flows.update(other._flows)

    def ids(self) -> tuple[str, ...]:
        """Returns the ids, in the order of their registration."""
        return tuple(self._flows)

    def _check_free(self, flow_id: str) -> None:
        if flow_id in self._flows:
            raise ValueError(f"The flow {flow_id!r} is already registered. Choose another id.")

    def find(self, flow_id: str) -> Flow | None:
        """Returns the flow, if there is one."""
        return self._flows.get(flow_id)

    def every(self) -> tuple[Flow, ...]:
        """Returns all flows, in the order of their registration."""
        return tuple(self._flows.values())

    def get(self, flow_id: str) -> Flow:
        """Returns the flow. Raises a `Refusal`: 404 if there is none, 403 if it is restricted."""
        flow = self.find(flow_id)
        if flow is None:
            text = no_flow(flow_id, self._flows)
            raise Refusal(404, f"There is no flow {flow_id!r}.", unmatched=text)
        if flow.restricted:
            raise Refusal(403, f"This API key has no permission for the flow {flow_id!r}.")
        return flow


@final
class Flows:
    """A collection of flows, for `dcipher emulator start --flows module:flows`.

    Register functions with `@flows.flow("id")`, as with an `Emulator`. To add the collection to an
    emulator, call `emulator.add_flows(flows)`.
    """

    def __init__(self) -> None:
        self.registry: FlowRegistry = FlowRegistry()

    @override
    def __repr__(self) -> str:
        return f"<Flows {', '.join(self.registry.ids()) or '(none)'}>"

    def flow(
        self,
        flow_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        restricted: bool = False,
        duration: float | None = None,
        outputs: int = 1,
    ) -> Callable[[F], F]:
        """Registers the decorated function as a flow, as `Emulator.flow` does.

        Args:
            flow_id: The id of the flow, as in the path.
            name: The title. Default: derived from the name of the function.
            description: The description. Default: the docstring of the function.
            restricted: Respond with 403, as for a flow that the key has no permission for.
            duration: Seconds that a run spends in RUNNING, at least. Default: `min_run_time`.
            outputs: The number of result files. If it is above 1, the function returns as many
                values.
        """

        def register(function: F) -> F:
            _ = self.registry.add(
                flow_id,
                function,
                name=name,
                description=description,
                restricted=restricted,
                duration=duration,
                outputs=outputs,
            )
            return function

        return register


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _signature(function: Callable[..., object]) -> inspect.Signature:
    # Not typing.get_type_hints: on Python 3.10 it wraps what defaults to None in an Optional.
    try:
        return inspect.signature(function, eval_str=True)
    except NameError as error:
        message = (
            f"{error}: define the types of a flow's annotations at the top level of the module."
        )
        raise TypeError(message) from error


def _invalid(error: ValidationError) -> Refusal:
    detail = [
        FieldError(loc=[*_BODY, *item["loc"]], msg=item["msg"], type=item["type"])
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = "; ".join(
        f"{'.'.join(str(part) for part in item.loc[len(_BODY) :]) or 'pipelineParams'}: {item.msg}"
        for item in detail[:3]
    )
    more = f"; and {len(detail) - 3} more" if len(detail) > 3 else ""
    return Refusal(422, f"The params are invalid: {first}{more}", detail=detail)


def _schema(model: type[BaseModel]) -> Mapping[str, JsonValue]:
    try:
        return model.model_json_schema()
    except PydanticInvalidForJsonSchema:
        return {}


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _type_word(schema: Mapping[str, JsonValue], field: Mapping[str, JsonValue]) -> str | None:
    """Returns the JSON Schema type of a param, except null; None if it has none or several."""
    reference = field.get("$ref")
    if isinstance(reference, str):
        definitions = _object(schema.get("$defs"))
        return _type_word(schema, _object(definitions.get(reference.rpartition("/")[2])))
    branches = field.get("anyOf") or field.get("allOf")
    if isinstance(branches, list):
        words = {_type_word(schema, _object(branch)) for branch in branches} - {"null"}
        return words.pop() if len(words) == 1 else None
    word = field.get("type")
    return word if isinstance(word, str) else None


def _default(info: FieldInfo) -> JsonValue:
    if info.is_required():
        return None
    default: object = info.get_default(call_default_factory=True)
    try:
        return cast("JsonValue", to_jsonable_python(default))
    except PydanticSerializationError:
        return None
