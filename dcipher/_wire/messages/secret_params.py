"""Secrets in a params model: Pydantic dumps their mask, which a flow would use as the value."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pydantic import Secret, SecretBytes, SecretStr

from dcipher._masking.text import clean
from dcipher.errors import InvalidParamsError
from dcipher.errors._hints import with_hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["SECRETS", "AnySecret", "unmasked"]

AnySecret: TypeAlias = "SecretStr | SecretBytes | Secret[Any]"
SECRETS = (SecretStr, SecretBytes, Secret)
_MASK = str(SecretStr("any"))


def unmasked(python: object, json: object, where: str) -> Any:
    """Returns `json`, a model dumped in JSON mode, with its secrets instead of their masks.

    `python` is the same model dumped in Python mode, which has the secrets. The output of the
    model's own serializers remains. Raises `InvalidParamsError` for a secret whose mask cannot be
    replaced.
    """
    if isinstance(python, SECRETS):
        return python if json in {_MASK, str(python)} else json
    if isinstance(python, dict) and isinstance(json, dict):
        return _object(
            cast("Mapping[object, object]", python), cast("dict[str, object]", json), where
        )
    if isinstance(python, (list, tuple, deque)) and isinstance(json, list):
        return _array([*cast("Iterable[object]", python)], cast("list[object]", json), where)
    if isinstance(python, (set, frozenset)):
        items = [*cast("Iterable[object]", python)]
        return items if _has_masks(items, json) else json  # in any order, as every set
    return json


def _object(python: Mapping[object, object], json: dict[str, object], where: str) -> object:
    if len(python) == len(json) and not any(isinstance(key, SECRETS) for key in python):
        # In the same order: the keys themselves may be written in another way.
        pairs = zip(python.values(), json.items(), strict=True)
        return {name: unmasked(item, masked, f"{where}.{name}") for item, (name, masked) in pairs}
    return _unless_masked([*python, *python.values()], json, where)


def _array(python: Sequence[object], json: list[object], where: str) -> object:
    if len(python) == len(json):
        pairs = enumerate(zip(python, json, strict=True))
        return [unmasked(item, masked, f"{where}[{i}]") for i, (item, masked) in pairs]
    return _unless_masked(python, json, where)


def _unless_masked(python: Iterable[object], json: object, where: str) -> object:
    if _has_masks(python, json):
        raise with_hint(
            InvalidParamsError(
                f"{clean(where, 120)} contains a secret that JSON cannot represent, or that a "
                "serializer masks."
            ),
            "Send its get_secret_value().",
        )
    return json


def _has_masks(python: Iterable[object], json: object) -> bool:
    """Returns whether a secret is masked in `json`."""
    return _MASK in str(json) and any(isinstance(item, SECRETS) for item in python)
