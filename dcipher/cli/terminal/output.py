"""The output of a command: data on stdout, in the requested form; everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from dcipher.cli.terminal.failures import CommandError
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
        elif isinstance(value, Mapping):
            self._one(cast("Record", value), columns, key, text)
        else:
            self._many(value, columns, key, text, layout)

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

    def _one(
        self,
        record: Record,
        columns: Sequence[str] | None,
        key: str,
        text: Callable[[Record], str] | None,
    ) -> None:
        if self.form is Form.IDS:
            self._line(printable(record.get(key, "")))
        elif self.structured:
            self._line(_json(record, indent=self.form is Form.JSON))
        elif text is not None:
            self._line(printable(text(record), lines=True))
        else:
            self._lines(_pairs(record, columns or list(record)))

    def _many(
        self,
        records: Iterable[Record],
        columns: Sequence[str] | None,
        key: str,
        text: Callable[[Record], str] | None,
        layout: Layout | None,
    ) -> None:
        if self.form is Form.JSON:
            self._line(_json(list(records), indent=True))
        elif self.form is Form.TEXT and text is None:
            self._table(list(records), columns, layout)
        else:
            for record in records:
                self._one(record, columns, key, text)

    def _table(
        self, records: Sequence[Record], columns: Sequence[str] | None, layout: Layout | None
    ) -> None:
        names = columns or list(dict.fromkeys(name for record in records for name in record))
        rows = [[_cell(record.get(name)) for name in names] for record in records]
        if is_terminal(sys.stdout):
            from dcipher.cli.terminal.tables import table_lines

            self._lines(table_lines(names, rows, layout))
        else:
            self._lines("\t".join(row) for row in rows)

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._line(line)

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


def _pairs(record: Record, columns: Sequence[str]) -> Iterable[str]:
    on_terminal = is_terminal(sys.stdout)
    longest = max((len(name) for name in columns), default=0)
    for name in columns:
        value = _cell(record.get(name))
        if not on_terminal:
            yield f"{name}\t{value}"
        elif value:
            yield f"{name:<{longest}}  {value}"


def _cell(value: object) -> str:
    """Returns a value as the text of a cell: text unchanged, other values as JSON."""
    if value is None or value == []:
        return ""
    if isinstance(value, list):
        return _row_of(cast("list[object]", value))
    return printable(value) if isinstance(value, str) else printable(_json(value))


def _row_of(items: Sequence[object]) -> str:
    texts = [item for item in items if isinstance(item, str)]
    return printable(", ".join(texts) if len(texts) == len(items) else _json(items))


def _json(value: object, *, indent: bool = False) -> str:
    unicode = (getattr(sys.stdout, "encoding", None) or "").lower().startswith("utf")
    return printable_json(
        json.dumps(value, ensure_ascii=not unicode, indent=2 if indent else None, default=str)
    )
