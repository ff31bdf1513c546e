"""The arguments of `flows.map`, checked before anything is read or sent; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dcipher._batch.inputs.identity import Identity
from dcipher._batch.inputs.rows import check_rows
from dcipher._concurrency.callables import check_arguments
from dcipher._files.paths import path_of
from dcipher._settings.kinds import check_flag
from dcipher.errors import InvalidParamsError, TooManyFailuresError
from dcipher.errors._hints import with_hint

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcipher._batch.journal.states import Entry
    from dcipher._batch.reports.tally import Tally

__all__ = ["Plan", "planned", "too_many_failures"]

JUDGED_FROM: Final = 100
"""Rows from which a share of failures is checked."""
MOST_IN_FLIGHT: Final = 10_000


@dataclass(frozen=True)
class Plan:
    """The checked arguments of a batch."""

    flow_id: str | None
    """`None`: the rows are calls, which name the flow."""
    rows: Any = field(repr=False)
    identity: Identity = field(repr=False)
    journal: Path | None
    read: Any
    """`None`: the results are not read."""
    save: Path | None
    in_flight: int | None
    starts_per_second: float | None
    max_failures: float | None
    retry_failed: bool
    holds_unknown: bool
    ordered: bool
    progress: Any
    nonce: str
    """Distinguishes a batch without a journal from earlier ones; empty with a journal."""

    def target(self, stem: Callable[[str], str]) -> Callable[[Entry], str] | None:
        """Returns the function that names the file of a row, which must be unique."""
        folder = self.save
        if folder is None:
            return None
        return lambda entry: str(folder.absolute() / stem(entry.key)).casefold()


def planned(
    *,
    flow_id: object,
    rows: object,
    key: Any,
    params: Any,
    journal: object,
    read: object,
    save: object,
    in_flight: object,
    starts_per_second: object,
    max_failures: object,
    retry_failed: bool,
    on_unknown: object,
    ordered: bool,
    progress: Any,
    nonce: str,
) -> Plan:
    """Returns the checked arguments. Raises `InvalidParamsError`."""
    if rows is None:
        if isinstance(flow_id, str):
            raise with_hint(
                InvalidParamsError("rows is missing."),
                "Call flows.map(flow_id, rows), or flows.map(calls).",
            )
        flow_id, rows = None, flow_id
    elif not isinstance(flow_id, str):
        raise InvalidParamsError(f"flow_id must be a str, not {type(flow_id).__name__}.")
    if on_unknown not in {"resend", "hold"}:
        raise InvalidParamsError(f'on_unknown must be "resend" or "hold", not {on_unknown!r}.')
    check_flag(
        "retry_failed", retry_failed, InvalidParamsError
    )  # the text "no" would pay for another run
    check_flag("ordered", ordered, InvalidParamsError)
    if callable(progress):
        check_arguments("progress", progress)
    if not (progress == "auto" or isinstance(progress, bool) or callable(progress)):
        raise InvalidParamsError(
            'progress must be "auto", False, or a function of a BatchProgress.'
        )
    path = None if journal is None else path_of(journal)
    folder = None if save is None else _folder(save)
    if folder is not None and folder == path:
        raise with_hint(
            InvalidParamsError(f"save and journal are the same path, {str(folder)!r}."),
            "Choose another folder for save=….",
            "Choose another folder for --save.",
        )
    return Plan(
        flow_id=flow_id,
        rows=check_rows(rows),
        identity=Identity(key, params),
        journal=path,
        read=read,
        save=folder,
        in_flight=_whole("in_flight", in_flight),
        starts_per_second=_rate("starts_per_second", starts_per_second),
        max_failures=_limit(max_failures),
        retry_failed=retry_failed,
        holds_unknown=on_unknown == "hold",
        ordered=ordered,
        progress=progress,
        nonce=nonce if path is None else "",
    )


def _folder(save: object) -> Path:
    text = save.rstrip("/") or "/" if isinstance(save, str) and save else save
    folder = Path("/") if text == "/" else path_of(text)
    if folder.exists() and not folder.is_dir():
        raise with_hint(
            InvalidParamsError(f"save={str(folder)!r} is a file."), "Pass the path of a folder."
        )
    return folder


def _whole(name: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_IN_FLIGHT:
        raise InvalidParamsError(
            f"{name} must be a number from 1 to {MOST_IN_FLIGHT}, not {value!r}."
        )
    return value


def _rate(name: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1e-6 <= value <= 1e6:
        raise InvalidParamsError(f"{name} must be a positive number, not {value!r}.")
    return float(value)


def _limit(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, float) and 0.0 <= value <= 1.0:
        return value
    raise InvalidParamsError(
        "max_failures must be a count (an int from 0), or a share (a float from 0.0 to 1.0), "
        f"not {value!r}."
    )


def too_many_failures(
    tally: Tally, limit: float | None, *, at_end: bool
) -> TooManyFailuresError | None:
    """Returns the error for more failures than the limit permits; rows from the journal do not count."""
    failures, rows = tally.new_failures, tally.rows - tally.reused
    if limit is None or not failures:
        return None
    if isinstance(limit, int):
        is_too_many = failures > limit
    else:
        is_too_many = (at_end or rows >= JUDGED_FROM) and failures / rows > limit
    if not is_too_many:
        return None
    first = tally.groups()[0]
    return TooManyFailuresError(
        f"{failures} of {rows} rows failed, more than max_failures={limit} allows. The "
        f"most frequent reason: {first.message or first.status}"
    )
