"""Parses faults: `status respond:503`, or the JSON of the control API."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from dcipher.cli.terminal.errors import CommandError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dcipher.emulator.faults import Effect

__all__ = ["fault_document"]

OPERATIONS = ("flow", "start", "status", "result", "any")


def fault_document(words: Sequence[str], **limits: Any) -> dict[str, Any]:
    """Returns a fault as a JSON object, from its JSON or from an operation and effects.

    `limits`: `times`, `nth` and so on; `None`: the default of the emulator.
    """
    given = {name: value for name, value in limits.items() if value is not None}
    if words[0].lstrip().startswith("{"):
        if len(words) > 1:
            raise _wrong("pass the JSON of a fault, or an operation and effects, but not both")
        document = _json_object(words[0])
        return {**document, **given}
    operation, *effects = words
    if operation not in OPERATIONS:
        raise _wrong(f"{operation!r} is not an operation ({', '.join(OPERATIONS)})")
    if not effects:
        raise _wrong(f"{operation} has no effect: add one, such as respond:503")
    chosen = None if operation == "any" else operation
    return {"operation": chosen, "effects": [_effect(word) for word in effects], **given}


def _effect(word: str) -> dict[str, Any]:
    """Parses `kind`, `kind:value` (the first of its values), or `kind:{"name": value, …}`."""
    kind, colon, text = word.partition(":")
    known = _kinds()
    kind = kind.replace("-", "_")
    if kind not in known:
        raise _wrong(f"{kind!r} is not an effect. The effects are {', '.join(sorted(known))}")
    if not colon:
        return {"kind": kind}
    names = [field.name for field in fields(known[kind]) if field.name != "kind"]
    value = _value(text)
    if isinstance(value, dict) and cast("dict[str, object]", value).keys() <= {*names}:
        return {"kind": kind, **value}
    if not names:
        raise _wrong(f"{kind} has no value")
    if names[0] == "words" and isinstance(value, str):  # `statuses` has several
        value = value.split(",")
    return {"kind": kind, names[0]: value}


def _value(text: str) -> Any:
    """Parses JSON; any other text is itself."""
    with suppress(ValueError):
        return json.loads(text)
    return text


def _kinds() -> dict[str, type[Effect]]:
    from dcipher.emulator import faults

    classes = [getattr(faults, name) for name in faults.__all__]
    effects = [
        one for one in classes if issubclass(one, faults.Effect) and one is not faults.Effect
    ]
    return {str(next(f.default for f in fields(one) if f.name == "kind")): one for one in effects}


def _json_object(text: str) -> dict[str, Any]:
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise _wrong(f"this is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise _wrong("this is not a JSON object")
    return cast("dict[str, Any]", value)


def _wrong(text: str) -> CommandError:
    return UsageError(f"Invalid fault: {text}.", next_step="dcipher emulator faults add --help")
