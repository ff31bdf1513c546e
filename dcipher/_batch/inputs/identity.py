"""The identity of a row: its key, its canonical params, and the idempotency key of its run; pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from uuid import UUID

from pydantic import BaseModel

from dcipher._batch.journal.states import Entry
from dcipher._masking.text import clean, with_article
from dcipher._wire.messages.params import params_body
from dcipher.errors import InvalidParamsError
from dcipher.errors._hints import add_note, with_hint, without_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Key: TypeAlias = "str | Callable[[Any], object] | None"
    Params: TypeAlias = "Sequence[str] | Callable[[Any], object] | None"

__all__ = ["Identity", "check_key", "check_params", "fingerprint", "idempotency_key"]

LONGEST_KEY = 1024


class Identity:
    """Makes an `Entry` of a row of the input.

    Args:
        key: A column, or a function of the row; `None`: the SHA-256 of the params.
        params: Columns, or a function of the row; `None`: the whole row without the key's column.
    """

    def __init__(self, key: Key, params: Params) -> None:
        self._key = check_key(key)
        self._params = check_params(params)

    def entry(self, row: object, position: int) -> Entry:
        """Returns the row for the plan. Raises `InvalidParamsError`, which names the row."""
        try:
            secrets: list[str] = []
            params = self._canonical(row, secrets)
            digest = hashlib.sha256(params.encode()).digest()
            key = digest.hex() if self._key is None else _text(self._key_of(row))
        except InvalidParamsError as error:
            what = f"Row {position} of the input: {without_hint(error)}"
            raise with_hint(
                InvalidParamsError(what), error.hint, error.hint.cli
            ) from error.__cause__
        except Exception as error:  # of key or params, which are the user's
            add_note(error, f"Row {position} of the input.")
            raise
        return Entry(key, params, digest, position, tuple(secrets))

    def _key_of(self, row: object) -> object:
        if not isinstance(self._key, str):
            return cast("Callable[[Any], object]", self._key)(row)
        return _column(row, self._key)

    def _canonical(self, row: object, secrets: list[str]) -> str:
        """Returns the params as JSON, with sorted names: the same params are the same text."""
        plain = json.loads(params_body(self._params_of(row), secrets))["pipelineParams"]
        if self._params is None and isinstance(self._key, str) and isinstance(row, BaseModel):
            plain.pop(_alias(row, self._key), None)
        return json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    def _params_of(self, row: object) -> object:
        if callable(self._params):
            return self._params(row)
        if self._params is not None:
            return {name: _column(row, name) for name in self._params}
        if isinstance(row, BaseModel):
            return row
        without = self._key if isinstance(self._key, str) else None
        return {name: value for name, value in _columns(row).items() if name != without}


def _alias(model: BaseModel, name: str) -> str:
    field = type(model).model_fields.get(name)
    return name if field is None else field.serialization_alias or field.alias or name


def check_key(key: object) -> Any:
    """Returns the key. Raises `InvalidParamsError` if it is neither a column nor a function."""
    if key is None or callable(key) or (isinstance(key, str) and key):
        return key
    raise InvalidParamsError(
        'key must be the name of a column, such as "id", or a function of the row.'
    )


def check_params(params: object) -> Any:
    """Returns the columns as a tuple, or the function. Raises `InvalidParamsError` for anything else."""
    if params is None or callable(params):
        return params
    if isinstance(params, (list, tuple)):
        names = tuple(cast("Sequence[object]", params))
        if names and all(isinstance(name, str) for name in names):
            return names
    raise InvalidParamsError(
        'params must be names of columns, such as ("text", "lang"), or a function of the row.'
    )


def idempotency_key(flow_id: str, entry: Entry, generation: int, nonce: str = "") -> str:
    """Returns the idempotency key for the run of a row, which is always the same for the same row.

    `nonce`: distinguishes a batch without a journal from earlier ones.
    """
    parts = (flow_id, entry.key, entry.digest.hex(), str(generation), nonce)
    text = json.dumps(parts)  # different rows have different texts
    return f"dcipher-{hashlib.sha256(text.encode()).hexdigest()[:48]}"


def _text(key: object) -> str:
    """Returns a key as text. Raises `InvalidParamsError` for an invalid key."""
    item: Callable[[], object] | None = getattr(key, "item", None)  # a scalar of numpy
    value: object = item() if callable(item) and not isinstance(key, (str, int)) else key
    if isinstance(value, (str, int, UUID)) and not isinstance(value, bool):
        text = str(value)
        if 0 < len(text) <= LONGEST_KEY and text.isprintable() and text.strip() == text:
            return text
    raise InvalidParamsError(
        f"its key is {clean(repr(value), 60)}, but a key must be an integer, or printable text of 1 to "
        f"{LONGEST_KEY} characters without leading or trailing spaces."
    )


def _columns(row: object) -> Mapping[str, Any]:
    if isinstance(row, Mapping):
        try:
            return dict(cast("Mapping[str, Any]", row))
        except Exception as error:  # its own code
            raise InvalidParamsError(f"it cannot be read: {type(error).__name__}.") from error
    if is_dataclass(row) and not isinstance(row, type):
        return {field.name: getattr(row, field.name) for field in fields(row)}
    raise with_hint(
        InvalidParamsError(
            f"it is {with_article(type(row).__name__)}, but a row must be a mapping, a Pydantic model, "
            "a FlowCall or a dataclass."
        ),
        "For other rows, pass params=… and key=… as functions of the row.",
    )


def _column(row: object, name: str) -> Any:
    if isinstance(row, BaseModel):
        if name in type(row).model_fields or name in (row.model_extra or {}):
            return getattr(row, name)
        names: object = [*type(row).model_fields, *(row.model_extra or {})]
    else:
        columns = _columns(row)
        if name in columns:
            return columns[name]
        names = [*columns]
    known = [str(known) for known in cast("list[object]", names)]
    error = InvalidParamsError(
        f"it has no column {clean(name, 60)!r}; it has {clean(', '.join(known), 200)}."
    )
    if f"\ufeff{name}" in known:
        raise with_hint(
            error,
            'The name begins with a byte order mark: open the file with encoding="utf-8-sig".',
        )
    raise error


def fingerprint(secret: str) -> str:
    """Returns a fingerprint of an API key, from which the key cannot be guessed."""
    return hashlib.sha256(f"dcipher journal {secret}".encode()).hexdigest()[:32]
