"""`dcipher flows generate`: writes a class for each flow, or reports what has changed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from dcipher._files.paths import check_target
from dcipher._files.replacement import replacing
from dcipher._files.storage_errors import storage_errors
from dcipher._flow_types.drift import FlowDrift, drift_of
from dcipher._flow_types.generation import digest_of, digests_in, module_of
from dcipher._flow_types.row_models import RowModels
from dcipher.calls import FlowCall
from dcipher.cli.terminal.errors import CommandError, ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dcipher.cli.app.invocation import Invocation
    from dcipher.models import Flow

__all__ = ["check", "generate", "row_models"]

DIFFERS = 2
"""The exit code of `--check` if a flow has changed."""


def generate(
    call: Invocation, flows: Sequence[str], output: str, sample: str | None, *, overwrite: bool
) -> None:
    """Writes a module with a class for each flow to a file, or to standard output for `-`."""
    path = None if output == "-" else Path(output)
    known = {} if path is None or not path.is_file() else digests_in(_read(path))
    ids = list(dict.fromkeys(flows)) or list(known)
    if not ids:
        raise UsageError("No flow was given: pass its id.")
    if sample is not None and len(ids) != 1:
        raise UsageError("--sample needs exactly one flow.")
    if path is not None:
        with storage_errors(path):
            # A generated file is replaced; any other file only with --overwrite.
            check_target(path, overwrite=overwrite or bool(known))
    found = _fetched(call, ids)
    source = module_of(found, {} if sample is None else {ids[0]: row_models(sample)})
    if path is None:
        call.output.data(source.rstrip("\n"))
        return
    with storage_errors(path), replacing(path) as file:
        file.write(source.encode())
    call.output.note(f"Saved {path}.")


def check(call: Invocation, flows: Sequence[str], output: str) -> int:
    """Compares a generated file with the flows; returns the exit code, which is 0 where they agree."""
    path = Path(output)
    source = _read(path)
    known = digests_in(source)
    ids = list(dict.fromkeys(flows)) or list(known)
    if lost := [flow for flow in ids if flow not in known]:
        raise CommandError(f"{path} has no class for flow {lost[0]}.", ExitCode.FAILURE)
    if not ids:
        raise CommandError(
            f"{path} has no generated class.",
            ExitCode.FAILURE,
            next_step=f"dcipher flows generate FLOW -o {path}",
        )
    changed = [flow for flow in _fetched(call, ids) if digest_of(flow) != known[flow.id]]
    drifts = list(_drifts(path, source, changed)) if changed else []
    for name, drift in drifts:
        _report(call, name, drift)
    if not drifts:
        call.output.note(f"{path} matches its flows.")
    return DIFFERS if drifts else ExitCode.OK


def _fetched(call: Invocation, ids: Sequence[str]) -> list[Flow]:
    with call.client() as client:
        # With the requested ids: a service may spell them differently.
        return [client.flows.get(flow).model_copy(update={"id": flow}) for flow in ids]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise CommandError(f"{path} cannot be read: {reason}.", ExitCode.FAILURE) from None


def row_models(sample: str) -> RowModels:
    """Returns the models of the rows of a result file."""
    from dcipher._results.rows.reading import Format
    from dcipher._results.tables.reading import reading_of
    from dcipher.cli.results.checking import ANY, opened

    with opened(sample, None) as result:
        first: object = next(iter(result.rows(ANY)), None)
        head = b"" if result.format is not Format.JSON else result.reader().read(4096).lstrip()
        columns = reading_of((result,), None).table()
        return RowModels(
            "Row", columns, is_list=not head.startswith(b"{"), of_objects=isinstance(first, dict)
        )


def _drifts(path: Path, source: str, flows: Sequence[Flow]) -> Iterator[tuple[str, FlowDrift]]:
    classes = {call.__flow__: call for call in _classes(path, source)}
    for flow in flows:
        call = classes.get(flow.id)
        if call is None:
            raise CommandError(f"{path} has no class for flow {flow.id}.", ExitCode.FAILURE)
        drift = drift_of(call, flow)
        yield call.__name__, drift or FlowDrift(flow.id, compatible=("its description",))


def _classes(path: Path, source: str) -> Iterator[type[FlowCall[Any]]]:
    module = ModuleType(f"dcipher_generated_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # Pydantic resolves names there
    try:
        # Not imported: that would write bytecode, and trust existing bytecode.
        exec(compile(source, str(path), "exec"), vars(module))  # noqa: S102 - the user's file
    except Exception as error:  # an edited file may raise anything
        raise CommandError(
            f"{path} cannot be imported: {type(error).__name__}.",
            ExitCode.FAILURE,
            next_step=f"dcipher flows generate -o {path}",
        ) from error
    finally:
        del sys.modules[module.__name__]
    for value in cast("dict[str, object]", vars(module)).values():
        if isinstance(value, type) and issubclass(value, FlowCall) and value is not FlowCall:
            yield value


def _report(call: Invocation, name: str, drift: FlowDrift) -> None:
    if call.output.structured:
        call.output.data(
            {
                "flow_id": drift.flow_id,
                "class": name,
                "breaking": list(drift.breaking),
                "compatible": list(drift.compatible),
            }
        )
        return
    for kind, texts in (("breaking", drift.breaking), ("compatible", drift.compatible)):
        for text in texts:
            call.output.data(f"{kind}: {name}: {text}")
