"""The output of a command: data on stdout, in the requested form; everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from dcipher.cli.terminal.errors import CommandError
from dcipher.cli.terminal.streams import silence
from dcipher.cli.terminal.text import is_terminal, printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from dcipher.cli.terminal.tables import Layout

    Record: TypeAlias = Mapping[str, Any]

__all__ = ["Form", "Output", "unwritable"]


class Form(Enum):
    """The form of data."""

    TEXT = "text"
    """A table on a terminal, tab-separated lines in a pipe."""
    JSON = "json"
    """One JSON document."""
    JSONL = "jsonl"
    """A JSON document on each line, as soon as it is available."""
    IDS = "ids"
    """Only ids, one on each line."""


class Output:
    """The output of a command. Nothing else writes to stdout."""

    def __init__(self, form: Form = Form.TEXT, *, verbose: bool = False) -> None:
        self.form = form
        self.verbose = verbose

    @property
    def quiet(self) -> bool:
        """Whether only data is printed (`-q`)."""
        return self.form is Form.IDS

    @property
    def structured(self) -> bool:
        """Whether a program reads the data (`--json`, `--jsonl`)."""
        return self.form in {Form.JSON, Form.JSONL}

    def data(
        self,
        value: Record | Iterable[Record] | str,
        *,
        columns: Sequence[str] | None = None,
        key: str = "id",
        text: Callable[[Record], str] | None = None,
        layout: Layout | None = None,
    ) -> None:
        """Writes data.

        Args:
            value: One record, several records, or a text (a JSON string with `--json`).
            columns: The keys for people, in their order.
            key: The key that `-q` prints.
            text: Formats a record as a line, which is printed as soon as the record is available.
            layout: How a table is fitted to a narrow terminal.
        """
        if isinstance(value, str):
            self._line(_json(value) if self.structured else printable(value, lines=True))
            return
        one = cast("Record", value) if isinstance(value, Mapping) else None
        records = cast("Iterable[Record]", value) if one is None else (one,)
        if self.form is Form.JSON:
            self._line(_json(one or list(records), indent=True))
        elif self.form is Form.TEXT and text is None:
            lines = _table(list(records), columns, layout) if one is None else _pairs(one, columns)
            for line in lines:
                self._line(line)
        else:
            for record in records:
                self._line(self._of_one(record, key, text))

    def note(self, text: str) -> None:
        """Writes a message to stderr, unless `-q` is given."""
        if not self.quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Writes a message to stderr, with any form."""
        if sys.stderr is None:
            return
        try:
            print(printable(text, lines=True), file=sys.stderr, flush=True)  # noqa: T201
        except OSError:  # a full disk, a closed terminal: no run fails for that
            silence(sys.stderr)

    def _of_one(self, record: Record, key: str, text: Callable[[Record], str] | None) -> str:
        if self.form is Form.IDS:
            return printable(record.get(key, ""))
        return (
            _json(record)
            if text is None or self.structured
            else printable(text(record), lines=True)
        )

    def _line(self, line: str) -> None:
        if sys.stdout is None:
            raise CommandError("There is no standard output to write to.")
        try:
            # Flushed at once, for the reader of a pipe.
            print(line, flush=True)  # noqa: T201
        except BrokenPipeError:
            raise
        except OSError as error:
            raise unwritable(error) from None


def unwritable(error: OSError, next_step: str | None = None) -> CommandError:
    """Returns the error for a stdout that cannot be written: a full disk, a closed descriptor."""
    silence(sys.stdout)  # its last flush would fail, too
    text = f"The output cannot be written: {error.strerror or error}."
    return CommandError(text, next_step=next_step)


def _table(
    records: Sequence[Record], columns: Sequence[str] | None, layout: Layout | None
) -> Iterable[str]:
    names = columns or list(dict.fromkeys(name for record in records for name in record))
    rows = [[_cell(record.get(name)) for name in names] for record in records]
    if not is_terminal(sys.stdout):
        return ("\t".join(row) for row in rows)
    from dcipher.cli.terminal.tables import table_lines

    return table_lines(names, rows, layout)


def _pairs(record: Record, columns: Sequence[str] | None) -> Iterable[str]:
    on_terminal = is_terminal(sys.stdout)
    names = columns or list(record)
    longest = max(map(len, names), default=0)
    for name in names:
        value = _cell(record.get(name))
        if not on_terminal:
            yield f"{name}\t{value}"
        elif value:
            yield f"{name:<{longest}}  {value}"


def _cell(value: object) -> str:
    """Returns a value as the text of a cell: text unchanged, other values as JSON."""
    if value is None or value == []:
        return ""
    text = value if isinstance(value, str) else _joined(value)
    return printable(_json(value) if text is None else text)


def _joined(value: object) -> str | None:
    """Returns a list of texts as one; `None` for anything else."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    texts = [item for item in items if isinstance(item, str)]
    return ", ".join(texts) if texts and len(texts) == len(items) else None


def _json(value: object, *, indent: bool = False) -> str:
    unicode = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    return printable_json(
        json.dumps(value, ensure_ascii=not unicode, indent=2 if indent else None, default=str)
    )
