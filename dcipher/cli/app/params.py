"""Parses the params of a command line. Nothing is guessed: `k=v` is text, `k:=v` is JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from dcipher.cli.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    Read: TypeAlias = Callable[[Path, str], str]

__all__ = ["params_of", "texts_like_json"]


def params_of(
    given: Sequence[str], texts: Sequence[str], document: Path | None, read: Read
) -> dict[str, Any]:
    """Returns the params. Those of `given` and `texts` take precedence over those of `document`.

    Args:
        given: `name=text`, `name:=json`, `name=@file` or `name:=@file`.
        texts: `name=text`, without special characters.
        document: A file with a JSON object; `-` is standard input.
        read: Returns the text of a file, or of standard input.

    Raises `CommandError`.
    """
    params = {} if document is None else _document(document, read)
    pairs = [*(_param(text, read) for text in given), *map(_text, texts)]
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"-p {name} is given twice.")
    return {**params, **dict(pairs)}


def texts_like_json(params: Mapping[str, Any]) -> list[str]:
    """Returns the names of params whose text was probably meant as JSON: `k=[1]` for `k:=[1]`."""
    return [name for name, value in params.items() if isinstance(value, str) and _like_json(value)]


def _like_json(text: str) -> bool:
    if text.lstrip()[:1] in {"[", "{"}:
        return True
    try:
        return not isinstance(json.loads(text), str)
    except (ValueError, RecursionError):
        return False


def _document(path: Path, read: Read) -> dict[str, Any]:
    found = _json(read(path, "--params"), f"--params {path}")
    if not isinstance(found, dict):
        raise UsageError(f"--params {path} must be a JSON object: names and values.")
    return cast("dict[str, Any]", found)


def _text(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--text {_short(text)!r}: write NAME=TEXT.")
    return name, value


def _param(text: str, read: Read) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    is_json = name.endswith(":")
    name = name.removesuffix(":")
    if not equals or not name:
        raise UsageError(
            f"-p {_short(text)!r}: write NAME=TEXT, NAME:=JSON, NAME=@FILE or NAME:=@FILE."
        )
    option = f"-p {name}"
    if value.startswith("@@") and not is_json:
        return name, value[1:]
    if value == "-" and not is_json:  # in other programs, it means standard input
        raise UsageError(
            f"{option}: standard input is {name}=@-; for the text -, use --text {name}=-."
        )
    if value == "@":
        raise UsageError(
            f"{option}: a file name belongs after @; a text that begins with @ is written @@."
        )
    content = read(Path(value[1:]), option) if value.startswith("@") else value
    return name, _json(content, option) if is_json else content


def _json(text: str, option: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repetition)
    except RecursionError:
        reason = "it is nested too deeply"
    except json.JSONDecodeError as error:
        reason = f"{error.msg}, line {error.lineno} column {error.colno}"
    except ValueError as error:
        reason = str(error)
    hint = "" if option.startswith("--") else f" For text, write {option.removeprefix('-p ')}=…"
    raise UsageError(f"{option} is not JSON: {reason}.{hint}")


def _no_constant(word: str) -> NoReturn:
    # RFC 8259 section 6 has neither; Python's parser has.
    raise ValueError(f"{word} is not a JSON number")


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} occurs twice in one object")
    return found


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
