"""Searches everything that can be displayed, logged or stored for secrets, in any form."""

from __future__ import annotations

import base64
import copy
import html
import json
import logging
import pickle
import traceback
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote

import httpx
from pydantic import BaseModel, SecretStr

import dcipher

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Search", "forms"]

PACKAGE = str(Path(dcipher.__file__).parent)
LIBRARIES = (
    "dcipher",
    "httpx",
    "httpcore",
    "h11",
    "asyncio",
    "anyio",
    "tenacity",
    "concurrent",
    "py",
)


def forms(secret: str) -> set[str]:
    """A secret as it is, percent-encoded, escaped for JSON, HTML and Python, and in base64."""
    plain = unquote(secret)
    found = {secret, plain, quote(plain, safe=""), quote(plain), quote_plus(plain)}
    found |= {quote(plain, safe="").lower(), html.escape(plain), json.dumps(plain)[1:-1]}
    found |= {json.dumps(plain)[1:-1].replace("/", "\\/"), repr(plain)[1:-1]}
    found |= {repr(plain.encode())[2:-1]}
    return found | _base64(plain.encode()) | _base64(secret.encode())


def _base64(secret: bytes) -> set[str]:
    """Returns the characters that depend on it alone, at each offset in other bytes."""
    found: set[str] = set()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret).decode().rstrip("=")
        whole = text[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        found |= {whole, whole.replace("+", "-").replace("/", "_")}
    return found


class Search(logging.Handler):
    """Collects texts with their positions. `found()` returns those that contain a secret."""

    def __init__(self, **secrets: str) -> None:
        super().__init__(0)
        self._forms = {name: forms(secret) for name, secret in secrets.items()}
        self._leaks: dict[str, None] = {}
        self._clean: set[int] = set()
        self.looked_at = 0

    def found(self) -> list[str]:
        """Returns every leak once: its position, and the secret."""
        return list(self._leaks)

    def text(self, where: str, text: str) -> None:
        """Searches one text."""
        self.looked_at += 1
        if hash(text) in self._clean:  # the same is said again and again
            return
        before = len(self._leaks)
        for name, shapes in self._forms.items():
            for shape in shapes:
                if shape in text:
                    at = text.index(shape)
                    around = text[max(0, at - 60) : at + len(shape) + 20]
                    self._leaks.setdefault(f"{where}: {name} in {around!r}")
        if len(self._leaks) == before:
            self._clean.add(hash(text))

    # Logs

    def emit(self, record: logging.LogRecord) -> None:
        where = f"log of {record.name}"
        self.text(where, logging.Formatter().format(record))
        self.text(f"{where} (args)", f"{record.args!r} {record.msg!r}")
        self.text(f"{where} (extra)", repr(vars(record)))

    @contextmanager
    def of_all_logs(self) -> Iterator[None]:
        """Every record of every logger, and every warning, meanwhile."""
        named = [n for n in logging.root.manager.loggerDict if n.partition(".")[0] in LIBRARIES]
        loggers = [logging.getLogger(name) for name in {*named, *LIBRARIES}]
        levels = [(logger, logger.level) for logger in [logging.root, *loggers]]
        for logger, _ in levels:
            logger.setLevel(1)
        logging.root.addHandler(self)
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                yield
        finally:
            logging.root.removeHandler(self)
            for logger, level in levels:
                logger.setLevel(level)
        for warning in warned:
            self.text("warning", f"{warning.message} {warning.message!r} {warning.source!r}")

    # Values

    def value(self, where: str, value: object, seen: set[int] | None = None) -> None:
        """Searches a value, and everything that its public attributes and items lead to."""
        seen = set() if seen is None else seen
        if id(value) in seen or len(seen) > 5000:
            return
        seen.add(id(value))
        self._shown(where, value)
        for name, part in _parts(value):
            if not isinstance(part, (int, float, type(None), type)):
                self.value(f"{where}{name}", part, seen)

    def _shown(self, where: str, value: object) -> None:
        self.text(f"{where} (repr)", repr(value))
        self.text(f"{where} (str)", f"{value} {value!s}")
        if isinstance(value, bytes):
            self.text(f"{where} (bytes)", value.decode("latin-1"))
        if hasattr(value, "__dict__") and not isinstance(value, (type, SecretStr)):
            self.text(f"{where} (vars)", repr(vars(value)))
        if isinstance(value, httpx.Headers):
            self.text(f"{where} (raw)", repr(value.raw))

    def model(self, where: str, model: BaseModel) -> None:
        """A model, its dumps, copies and pickle."""
        self.value(where, model)
        for name, dumped in (
            ("model_dump", repr(model.model_dump())),
            ("model_dump in JSON mode", repr(model.model_dump(mode="json"))),
            ("model_dump_json", model.model_dump_json()),
            ("copy", repr(copy.copy(model))),
            ("deepcopy", repr(copy.deepcopy(model))),
            ("model_copy", repr(model.model_copy(deep=True))),
            ("to_json", model.to_json() if isinstance(model, dcipher.Run) else ""),
            ("pickle", pickle.dumps(model).decode("latin-1")),
        ):
            self.text(f"{where} ({name})", dumped)

    def error(
        self, where: str, error: BaseException, *, suppressed: bool = False, frames: bool = True
    ) -> None:
        """Searches an error, its attributes and causes, its traceback, copies and pickle.

        `suppressed`: what `from None` hides from tracebacks, too. `frames`: and the variables of
        the package's frames in the traceback.
        """
        where = f"{where} {type(error).__name__}"
        self.value(where, error)
        self.text(f"{where} (traceback)", "".join(traceback.format_exception(error)))
        self.text(f"{where} (notes)", repr(getattr(error, "__notes__", ())))
        if frames:
            self._locals(where, error)
        for behind in _behind(error, suppressed=suppressed):
            self.value(f"{where} behind", behind)
        if isinstance(error, dcipher.DcipherError):
            self.text(f"{where} (pickle)", pickle.dumps(error).decode("latin-1"))
            self.value(f"{where} unpickled", pickle.loads(pickle.dumps(error)))  # noqa: S301
            self.value(f"{where} copied", copy.copy(error))
        if isinstance(run := getattr(error, "run", None), dcipher.Run):
            self.model(f"{where}.run", run)

    def _locals(self, where: str, error: BaseException) -> None:
        """Returns the local variables of the package's frames, as an error reporter stores them."""
        for one in (error, *_behind(error)):
            for frame, _ in traceback.walk_tb(one.__traceback__):
                code = frame.f_code
                if code.co_filename.startswith(PACKAGE):
                    place = f"{where} (locals of {Path(code.co_filename).stem}.{code.co_name})"
                    for name, value in frame.f_locals.items():
                        self.text(f"{place} {name}", _safe_repr(value))


def _safe_repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - what was not made to the end has no repr yet
        return f"<{type(value).__name__}>"


def _behind(error: BaseException, *, suppressed: bool = False) -> Iterator[BaseException]:
    """The causes, contexts and members of an error that a traceback shows; or all of them."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if one is not error:
            yield one
        hidden = one.__suppress_context__ and not suppressed
        context = None if hidden else one.__context__
        nexts = [one.__cause__, context, *getattr(one, "exceptions", ())]
        waiting += [other for other in nexts if other is not None]


def _parts(value: object) -> Iterable[tuple[str, object]]:
    """Yields the parts of a value that are accessible without revealing a secret."""
    if isinstance(value, (SecretStr, str, bytes, type)):
        return []
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [(f"[{at}]", part) for at, part in enumerate(value)]
    names = [*getattr(value, "__dict__", {}), *_properties(value)]
    public = sorted({name for name in names if not name.startswith("_")})
    found = []
    for name in public:
        try:
            found.append((f".{name}", getattr(value, name)))
        except Exception as error:  # noqa: BLE001 - a property that is not there just now
            found.append((f".{name} raises", error))
    return found


def _properties(value: object) -> list[str]:
    return [
        name
        for cls in type(value).__mro__
        for name, member in vars(cls).items()
        if isinstance(member, property)
    ]
