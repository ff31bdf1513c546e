"""`make test-all`: the tests on every Python, and in the surroundings that a user may have."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox
from packaging.requirements import Requirement

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
TEST = nox.project.dependency_groups(PROJECT, "test")
FRAMES = nox.project.dependency_groups(PROJECT, "frames")
LATER = ("click", "fastapi", "uvicorn", "httpx2", "pyarrow", "pandas", "polars", "duckdb")

nox.needs_version = ">=2025.2.9"
# venv and pip: uv would not read the index that pip is configured with. Who has the index in uv's
# own settings saves a minute or two with NOX_DEFAULT_VENV_BACKEND=uv.
nox.options.default_venv_backend = os.environ.get("NOX_DEFAULT_VENV_BACKEND", "venv")
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
# A Python that is not there is skipped, and said, where CI is set too.
nox.options.error_on_missing_interpreters = False


def pythons() -> list[str]:
    """Return every version that the project promises, and the newer ones that are found."""
    # Real ones before pyenv's shims, which may stand for a Python that is not active.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [str(folder) for folder in sorted(pyenv.glob("versions/3.*/bin"))]
    os.environ["PATH"] = os.pathsep.join([*folders, os.environ["PATH"]])
    promised = nox.project.python_versions(PROJECT)
    newest = int(promised[-1].partition(".")[2])
    newer = [f"3.{minor}" for minor in range(newest + 1, newest + 10)]
    return [*promised, *(version for version in newer if shutil.which(f"python{version}"))]


PYTHONS = pythons()
# `make test` has run everything on the Python that nox runs on; these are the oldest and the newest.
# `nox -s tests` runs everything on all. An environment costs about as much as what runs in it.
THERE = [version for version in PYTHONS if shutil.which(f"python{version}")]
nox.options.sessions = ["lowest", "wheel"]


def floors() -> list[str]:
    """Return the direct dependencies, extras included, each pinned to the lowest that we take."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    pins = []
    for requirement in map(Requirement, lines):
        lowest = [s.version for s in requirement.specifier if s.operator == ">="]
        pins += [f"{requirement.name}=={version}" for version in lowest]
    return pins


def found(*names: str) -> list[str]:
    """Return the files of the tests that each of these patterns finds."""
    files = {name: sorted((ROOT / "tests").glob(name)) for name in names}
    if lost := [name for name, paths in files.items() if not paths]:
        message = f"no test matches {', '.join(lost)}: was it moved?"
        raise ValueError(message)
    return [str(path) for paths in files.values() for path in paths]


def without(*folders: str) -> list[str]:
    """Return the arguments that leave out folders of tests."""
    return [f"--ignore={ROOT / 'tests' / folder}" for folder in folders]


# What touches each part once: whether it is there, and works.
MAIN = (
    "test_*.py",
    "client/test_[frt]*.py",
    "results/test_*.py",
    "results/downloads/test_r*.py",
    "results/tables/test_[rt]*.py",
    "wire/transport/test_retrying.py",
)
# What decides without a connection: all that there is to test in a wheel without extras.
PURE = (
    *(f"{part}/test_*.py" for part in ("masking", "urls", "settings", "signing")),
    "wire/test_*.py",
    *(f"wire/{part}/test_*.py" for part in ("messages", "errors")),
    "wire/transport/test_proxy_choice.py",
    "client/test_run_errors.py",
    "client/test_poll_intervals.py",
    "results/downloads/test_plan.py",
    "results/rows/test_*.py",
)


def pytest(session: nox.Session, *arguments: str) -> None:
    """Run every test but the thorough ones, and a sample of the cases of each.

    `make test` runs all of them, on one Python. What follows `--` on nox's command line goes to
    pytest: `nox -s tests-3.13 -- --sample 1` runs all cases there, too, and
    `nox -s lowest -- --half 0` the half of the tests that is otherwise left to `wheel`.
    """
    sample = ("-m", "not thorough", "--sample", "20")
    # What the garbage collector finds is said in whichever test then runs: `make test` is where it
    # is an error. Here it may be other libraries' (anyio 4.9 leaves a socket that was being
    # connected when the call was cancelled).
    lenient = ("-W", "ignore::pytest.PytestUnraisableExceptionWarning")
    # Each worker collects all tests anew, which costs more than it brings where few are run.
    workers = ("-n", "2", "--dist", "worksteal")
    session.run("pytest", "-q", *workers, *sample, *lenient, *arguments, *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Everything, with the newest dependencies."""
    session.install("--editable", ".[all]", *TEST, *FRAMES)
    pytest(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """One half of the tests, with the lowest version of each dependency that we allow.

    Documents, scripts and random input do not depend on versions.
    """
    session.install("--editable", ".[all]", *TEST, *FRAMES, *floors())
    pytest(session, "--half", "1", *without("docs", "fuzz", "scripts"))


@nox.session(default=False)
def ecosystem(session: nox.Session) -> None:
    """What respx, pytest-httpx, vcrpy and OpenTelemetry's instrumentations see of a client."""
    tools = nox.project.dependency_groups(PROJECT, "ecosystem")
    session.install("--editable", ".[emulator]", *TEST, *tools)
    folders = [str(ROOT / "tests" / name) for name in ("ecosystem", "telemetry")]
    session.run("pytest", "-q", *folders, *session.posargs)


@nox.session(default=False)
def notebooks(session: nox.Session) -> None:
    """The guide to notebooks in real kernels of Jupyter, and in marimo."""
    tools = nox.project.dependency_groups(PROJECT, "notebooks")
    session.install("--editable", ".[all]", *TEST, *tools)
    session.run(
        "pytest", "-q", "-W", "default", str(ROOT / "tests" / "notebooks"), *session.posargs
    )


@nox.session(default=False)
def engines(session: nox.Session) -> None:
    """Rows in Dask, Ray and Spark (which needs Java), with workers that are killed: 1.5 GB of packages."""
    libraries = nox.project.dependency_groups(PROJECT, "engines")
    session.install("--editable", ".[all]", *TEST, *libraries)
    page = str(ROOT / "tests/docs/test_examples.py")
    lenient = ("-W", "default", "-p", "no:randomly")
    session.run("pytest", "-q", *lenient, str(ROOT / "tests" / "engines"), *session.posargs)
    session.run("pytest", "-q", *lenient, page, "-k", "many-machines")


@nox.session(default=False)
@nox.parametrize("library", ["airflow", "dagster", "prefect", "queues"])
def orchestrators(session: nox.Session, library: str) -> None:
    """Airflow, Dagster, Prefect; Celery and taskiq: with tasks that are killed, each library alone."""
    libraries = nox.project.dependency_groups(PROJECT, library)
    try:
        session.install("--editable", ".[emulator]", *TEST, *libraries)
    except nox.command.CommandFailed:
        session.skip(f"{library} cannot be installed here")
    files = sorted((ROOT / "tests" / "orchestrators").glob(f"test_{library}*.py"))
    lenient = ("-W", "default", "-p", "no:randomly")
    session.run("pytest", "-q", *lenient, *map(str, files), *session.posargs)


@nox.session(python=THERE[-1:] or None)
def wheel(session: nox.Session) -> None:
    """The wheel as a user installs it, away from the source: alone, with everything, and with httpx2.

    Each step adds to the environment of the one before. `lowest` runs the half of the tests that is
    left out here.
    """
    # What an earlier run left here would be there from the first step on.
    session.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "dcipher", *LATER)
    session.install("build", *TEST)
    dist = (Path(session.create_tmp()) / "dist").resolve()
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    (built,) = dist.glob("*.whl")
    session.install(str(built))
    # Not from the root: a subprocess of a test would find the source beside it.
    session.chdir(dist)
    session.run("python", "-c", "import dcipher; assert 'site-packages' in dcipher.__file__")
    session.run("python", "-W", "error", "-c", "from dcipher import *")
    where = ("--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"))
    pytest(session, "--half", "2", *where, *found(*MAIN, *PURE))

    session.install(f"{built}[all]", *FRAMES)
    pytest(session, "--half", "2", *where, *without("docs", "fuzz", "scripts"), str(ROOT / "tests"))

    session.install("httpx2")
    # The plugin alone: with the root on its path, Python would find the source.
    shutil.copy(ROOT / "tests" / "httpx2_alias.py", dist)
    session.env["PYTHONPATH"] = str(dist)
    more = (
        "client/test_[ch]*.py",
        "wire/transport/test_[cs]*.py",
        "conformance/test_conformance.py",
    )
    pytest(session, "--half", "1", *where, "-p", "httpx2_alias", *found(*MAIN, *more))
