"""Tries of one task as Airflow makes them, without a scheduler: its worker, and an API server of our own.

The worker is the supervisor of the task SDK in a process of its own, whose child executes the task. The
server here keeps what Airflow's database would, and kills the child where a test wants it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

WORKER = Path(__file__).with_name("airflow_worker.py")
ROOT = Path(__file__).parents[2]
HEADER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

exporter = ConsoleSpanExporter(out=open({spans!r}, "a"))
trace._TRACER_PROVIDER_SET_ONCE._done = False
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
"""
BUNDLES = [
    {
        "name": "dags",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": None},
    }
]


class Airflow:
    """The server of the execution API, and the tries of the task `topics` in a dag."""

    def __init__(
        self, folder: Path, connection: Mapping[str, Any], *, dag: str, run_id: str = "manual__1"
    ) -> None:
        self.folder = folder
        fields = dict.fromkeys(("host", "schema", "login", "password", "port", "extra"))
        names = {"conn_id": "dcipher_default", "conn_type": "dcipher"}
        self.connection = {**fields, **names, **connection}
        self.run_id = run_id
        self.stores: dict[int, dict[str, Any]] = defaultdict(dict)
        """The task state store of each map index."""
        self.xcoms: dict[str, Any] = {}
        self.states: list[dict[str, Any]] = []
        self.requests: list[str] = []
        """Everything that the task sent, as text."""
        self.kill_at: str | None = None
        """The request at which the task is killed: a part of its path."""
        self.pid: int | None = None
        self._next: dict[str, Any] = {}
        self._tries = 0
        self._is_lost = False
        self._map_indexes: dict[str, int] = {}
        self.spans = folder / "spans.txt"
        self.logs = folder / "logs"
        (folder / "dags").mkdir()
        source = HEADER.format(spans=str(self.spans)) + dag
        (folder / "dags" / "dag.py").write_text(source, encoding="utf-8")

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words: object) -> None:
                """Nothing on stderr."""

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = unquote(urlsplit(self.path).path)
                status, value = outer.answer(self.command, path, body.decode())
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kill(self) -> None:
        """Kill the process that executes the task, once."""
        pid, self.pid = self.pid, None
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def answer(self, method: str, path: str, body: str) -> tuple[int, Any]:
        self.requests.append(f"{method} {path} {body}")
        if self.kill_at is not None and self.kill_at in f"{method} {path}":
            self.kill_at = None
            self.kill()
            self._is_lost = True
        last = path.rpartition("/")[2]
        if last == "run":
            self._is_lost = False
            self.pid = json.loads(body)["pid"]
            return 200, self._context()
        if self._is_lost:  # a supervisor sends once more what gets a 500
            return 410, {"detail": "the worker is lost"}
        if last == "state":
            self.states.append(json.loads(body))
        elif "/connections/" in path:
            return 200, self.connection
        elif "/xcoms/" in path and method == "POST":
            self.xcoms[last] = json.loads(body)
        elif "/store/ti/" in path:
            store = self.stores[self._map_indexes[path.split("/")[-2]]]
            if method == "PUT":
                store[last] = json.loads(body)["value"]
            elif last not in store:
                return 404, {"detail": {"reason": "not_found", "message": "no such key"}}
            else:
                return 200, {"value": store[last]}
        elif "/xcoms/" in path:
            return 404, {"detail": {"reason": "not_found", "message": "no such key"}}
        return 200, {"ok": True}

    def _context(self) -> dict[str, Any]:
        moment = "2026-01-01T00:00:00Z"
        run = {
            "dag_id": "dag", "run_id": self.run_id, "logical_date": moment, "run_after": moment,
            "data_interval_start": moment, "data_interval_end": moment, "start_date": moment,
            "end_date": None, "run_type": "manual", "state": "running", "conf": {},
            "consumed_asset_events": [], "partition_key": None,
        }  # fmt: skip
        found = {"dag_run": run, "max_tries": 3, "should_retry": True, **self._next}
        self._next = {}
        return found

    def resume(self, event: dict[str, Any]) -> None:
        """Let the next try be what follows the trigger of the last one."""
        deferred = self.states[-1]
        # Nothing else of what the task deferred with, as in `dag.test()`.
        self._next = {"next_method": deferred["next_method"], "next_kwargs": {"event": event}}

    def fail_trigger(self, error: str) -> None:
        """Let the next try be what follows a trigger that failed."""
        self._next = {"next_method": "__fail__", "next_kwargs": {"error": error}}

    @property
    def store(self) -> dict[str, Any]:
        return self.stores[-1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/execution"

    def instance(self, number: int, map_index: int = -1) -> Any:
        """Return the instance of the task as Airflow names it for a try."""
        from airflow.sdk.api.datamodels._generated import TaskInstance

        name = uuid.uuid4()
        self._map_indexes[str(name)] = map_index
        return TaskInstance(
            id=name,
            task_id="topics",
            dag_id="dag",
            run_id=self.run_id,
            try_number=number,
            dag_version_id=uuid.uuid4(),
            map_index=map_index,
        )

    def try_task(self) -> str:
        """Execute the task once in a worker, and return its state: `killed`, or what it reported."""
        self._tries += 1
        before = len(self.states)
        ti = self.instance(self._tries).model_dump(mode="json")
        words = {"server": self.url, "log": f"{self._tries}.log", "ti": ti}
        BUNDLES[0]["kwargs"] = {"path": str(self.folder / "dags")}
        ours = {name: value for name, value in os.environ.items() if "DCIPHER" not in name}
        environment = {
            **ours,
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.logs),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, str(WORKER), json.dumps(words)],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        (self.folder / f"worker-{self._tries}.txt").write_text(done.stdout + done.stderr)
        reported = self.states[before:]
        if done.returncode == -signal.SIGKILL or not reported:
            return "killed"
        return str(reported[-1]["state"])

    def everything(self) -> str:
        """Return all that Airflow keeps or shows: logs, spans, states, XComs, the task state."""
        files = [
            path
            for path in self.folder.rglob("*")
            if path.is_file() and path.suffix in {".log", ".txt"}
        ]
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
        return "\n".join(
            [*texts, *self.requests, json.dumps([self.stores, self.xcoms, self.states])]
        )
