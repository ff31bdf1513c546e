"""The pytest plugin, in small projects of users."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

import pytest

import dcipher

pytest.importorskip("fastapi", reason="the plugin's fixtures start the emulator")

# Loaded before a run within this process, which forgets what it has loaded itself.
import dcipher.emulator.app
import dcipher.emulator.faults
import dcipher.settings
from dcipher import AsyncDcipher, Dcipher
from tests.waiting import HANG

_ = AsyncDcipher("k"), Dcipher("k")

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "dcipher.pytest_plugin", "--strict-markers", "-W", "error")
FLOW = """
    import pytest
    from dcipher import Dcipher, NotFoundError
    from dcipher.emulator.faults import Drop, Respond

    @pytest.fixture
    def dcipher_emulator(dcipher_emulator):
        dcipher_emulator.flow("keywords")(lambda text="": text.split())
        return dcipher_emulator
"""


@pytest.fixture(autouse=True)
def _only_the_plugins_named_here(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Temporary folders may lie in this project, and its configuration is not that of users.
    pytester.makefile(".ini", pytest="[pytest]")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def run(pytester: pytest.Pytester, tests: str, *words: str) -> pytest.RunResult:
    """Run these tests of a project whose conftest has the flow `keywords`, in this process."""
    pytester.makeconftest(FLOW)
    pytester.makepyfile(tests)
    return pytester.runpytest_inprocess(*PLUGIN, *words)


def elsewhere(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, *words: str
) -> pytest.RunResult:
    """Run the tests in a process of their own, which has this package, wherever it is."""
    from pathlib import Path

    monkeypatch.setenv("PYTHONPATH", str(Path(dcipher.__file__).parents[1]))
    return pytester.runpytest_subprocess(*PLUGIN, *words, timeout=5 * HANG)


def test_runs_a_flow(pytester: pytest.Pytester) -> None:
    """The client of a test uses the emulator of the same test, which has only its own runs."""
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.parametrize("n", range(2))
        def test_runs(dcipher_emulator, dcipher_client, n):
            run = dcipher_client.flows.run("keywords", {"text": "rivers flow"})
            assert dcipher_client.runs.read(run, list[str]) == ["rivers", "flow"]
            assert [run.flow_id for run in dcipher_emulator.runs] == ["keywords"]
            dcipher_emulator.flow("once")(lambda: 1)
        """,
    )
    result.assert_outcomes(passed=2)


def test_application_finds_the_emulator(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Dcipher()` uses the emulator, with any environment and `.env`. Afterwards, all is restored."""
    monkeypatch.setenv("DCIPHER_API_KEY", "a-real-key")
    monkeypatch.setenv("dcipher_base_url", "https://api.example.com")
    monkeypatch.setenv("DCIPHER_API_SECRET", "a-real-secret")
    dotenv = pytester.path / ".env"
    dotenv.write_text("DCIPHER_API_SECRET=of-the-file\nDCIPHER_MAX_RETRIES=77\n", "utf-8")
    result = run(
        pytester,
        """
        import os
        from dcipher import Dcipher, Settings

        def test_application(dcipher_emulator):
            with Dcipher() as client:
                assert client.flows.get("keywords").id == "keywords"
            assert "signature" not in dcipher_emulator.requests[0].headers
            settings = Settings()
            assert settings.base_url == dcipher_emulator.url
            assert settings.max_retries == 5
            assert settings.api_secret is None

        def test_without_it():
            assert os.environ["DCIPHER_API_KEY"] == "a-real-key"
            assert os.environ["dcipher_base_url"] == "https://api.example.com"
            assert "DCIPHER_BASE_URL" not in os.environ
            assert Settings().max_retries == 77
        """,
    )
    result.assert_outcomes(passed=2)


def test_fault_that_did_not_happen(pytester: pytest.Pytester) -> None:
    """A test fails once for a fault that was not consumed, unless the mark permits it."""
    result = run(
        pytester,
        """
        import pytest
        from dcipher.emulator.faults import Respond

        def test_proves_nothing(dcipher_emulator, dcipher_client):
            dcipher_emulator.fault("status", Respond(503))
            dcipher_client.flows.get("keywords")

        @pytest.mark.dcipher(unconsumed="allow")
        def test_by_chance(dcipher_emulator):
            dcipher_emulator.fault("status", Respond(503))

        def test_consumes(dcipher_emulator, dcipher_client):
            dcipher_emulator.fault("flow", Respond(429, headers={"Retry-After": "0.01"}))
            dcipher_client.flows.get("keywords")
        """,
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_proves_nothing _*",
            "Unconsumed fault 1 on status: Respond(503): applied 0 of 1, 0 requests matched",
            '(to permit this: @pytest.mark.dcipher(unconsumed="allow"))',
            "*- dcipher emulator -*",
            "requests:",
            "  200 GET /flows/keywords",
            "runs: none",
            "faults:",
            "  fault 1 on status: *",
        ],
        consecutive=True,
    )


def test_request_that_matched_nothing(pytester: pytest.Pytester) -> None:
    """A test fails for unmatched requests whose error it ignored, with suggestions."""
    result = run(
        pytester,
        """
        import os, httpx, pytest
        from dcipher import NotFoundError

        def test_swallows(dcipher_client):
            with pytest.raises(NotFoundError):
                dcipher_client.flows.get("keyword")
            with pytest.raises(NotFoundError):
                dcipher_client.flows.get("keyword")

        def test_route(dcipher_emulator):
            headers = {"Authorization": f"Api-Key {dcipher_emulator.api_key}"}
            url = f"{dcipher_emulator.url}/flow/keywords?token=hunter2"
            assert httpx.get(url, headers=headers, trust_env=False).status_code == 404

        @pytest.mark.dcipher(unmatched="allow")
        def test_means_it(dcipher_client):
            with pytest.raises(NotFoundError):
                dcipher_client.flows.get("keyword")
        """,
    )
    result.assert_outcomes(passed=1, failed=2)
    said = "Unmatched request: GET /flows/keyword: no flow 'keyword'; did you mean 'keywords'?"
    result.stdout.fnmatch_lines(
        [said, '(to permit this: @pytest.mark.dcipher(unmatched="allow"))'],
        consecutive=True,
    )
    assert result.outlines.count(said) == 1
    result.stdout.fnmatch_lines(
        ["*GET /flow/keywords[?]token=[*][*][*]: no route; did you mean GET /flows/{flow_id}[?]"]
    )
    result.stdout.no_fnmatch_line("*hunter2*")


def test_failed_test_is_not_failed_twice(pytester: pytest.Pytester) -> None:
    """A test that fails keeps its error, and its report has the unconsumed faults."""
    result = run(
        pytester,
        """
        import pytest
        from dcipher.emulator.faults import Respond

        @pytest.mark.dcipher(api_key="emu_secret-key", queue_time=0)
        def test_fails(dcipher_emulator, dcipher_client):
            dcipher_emulator.fault("status", Respond(503))
            @dcipher_emulator.flow("fails")
            def fails():
                raise ValueError("no text with emu_secret-key")
            dcipher_client.flows.run("fails")

        @pytest.mark.xfail(strict=True)
        def test_expected(dcipher_client):
            dcipher_client.flows.get("keyword")

        def test_skips(dcipher_client):
            with pytest.raises(Exception):
                dcipher_client.flows.get("keyword")
            pytest.skip("after all")
        """,
    )
    result.assert_outcomes(failed=1, xfailed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*- dcipher emulator -*",
            "requests:",
            "  200 POST /flows/fails/run",
            "  503 GET /flows/fails/status[?]taskId=* (fault 1 on status: Respond(503))",
            "*",
            "runs:",
            "  FAILED fails * (no text with *redacted*)",
            "faults:",
        ]
    )
    result.stdout.no_fnmatch_line("*Unmatched*")
    result.stdout.no_fnmatch_line("* no text with emu_secret-key)")


def test_many_requests(pytester: pytest.Pytester) -> None:
    """A report shows the last requests, and only some of very many that matched nothing."""
    result = run(
        pytester,
        """
        import pytest

        def test_many(dcipher_client):
            for n in range(30):
                with pytest.raises(Exception):
                    dcipher_client.flows.get(f"unknown{n}")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["Unmatched request: GET /flows/unknown19: *", "and 10 more"])
    result.stdout.fnmatch_lines(["requests, the last 20 of 30:", "  404 GET /flows/unknown10 *"])
    result.stdout.no_fnmatch_line("  404 GET /flows/unknown9 *")


def test_fixtures_ends(pytester: pytest.Pytester) -> None:
    """Requests of other fixtures at their end are an error there, unless the test has failed."""
    result = run(
        pytester,
        """
        import pytest

        @pytest.fixture
        def application(dcipher_client):
            yield
            with pytest.raises(Exception):
                dcipher_client.flows.get("keyword")

        def test_passes(application): pass

        def test_fails(application): assert False

        @pytest.fixture
        def broken(dcipher_client):
            dcipher_client.flows.get("keyword")

        def test_never_runs(broken): pass
        """,
    )
    result.assert_outcomes(passed=1, failed=1, errors=2)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_passes*", "Unmatched request: GET /flows/keyword: *"]
    )
    result.stdout.fnmatch_lines(
        ["*ERROR at setup of test_never_runs*", "*- dcipher emulator -*", "  404 GET /flows/keyw*"]
    )


def test_marks_merge(pytester: pytest.Pytester) -> None:
    """The marks of module, class and test are one, and the nearest wins."""
    result = run(
        pytester,
        """
        import pytest
        from dcipher import Dcipher, RateLimitError

        pytestmark = pytest.mark.dcipher(idempotency=False, api_key="emu_module")

        @pytest.mark.dcipher(api_key="emu_class", api_secret="s", require_signature=True)
        class TestClass:
            @pytest.mark.dcipher(rate=1)
            def test_all(self, dcipher_emulator, dcipher_client):
                assert dcipher_emulator.api_key == "emu_class"
                dcipher_client.flows.start("keywords", idempotency_key="k")
                assert "signature" in dcipher_emulator.requests[0].headers
                with pytest.raises(RateLimitError):
                    dcipher_client.with_options(max_retries=0).flows.get("keywords")

        @pytest.mark.dcipher(api_key="emu_test")
        def test_nearest(dcipher_emulator, dcipher_client):
            assert dcipher_emulator.api_key == "emu_test"
            for _ in range(2):
                dcipher_client.flows.start("keywords", idempotency_key="k")
            assert len(dcipher_emulator.runs) == 2
        """,
    )
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("idempotence=False", "unknown option 'idempotence'. Did you mean 'idempotency'[?]"),
        ("x=1", "unknown option 'x'. The options are unmatched, unconsumed, host, *rate*."),
        ("5", "it takes keyword arguments only, not 5."),
        ("unmatched=True", "unmatched must be 'fail' or 'allow', not True."),
    ],
)
def test_an_invalid_mark(pytester: pytest.Pytester, mark: str, said: str) -> None:
    """An invalid mark is reported at collection, and none of the tests runs."""
    test = f"""
        import pytest

        def test_other(): pass

        @pytest.mark.dcipher({mark})
        def test_marked(dcipher_client): pass
    """
    result = run(pytester, test)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"@pytest.mark.dcipher: {said}"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_an_invalid_argument_of_the_mark(pytester: pytest.Pytester) -> None:
    """An invalid value of a known argument is an error of that test only."""
    result = run(
        pytester,
        """
        import pytest

        @pytest.mark.dcipher(rate=-1)
        def test_marked(dcipher_client): pass

        def test_other(dcipher_client): pass
        """,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["@pytest.mark.dcipher: rate must be more than 0*"])


def test_wider_scope(pytester: pytest.Pytester) -> None:
    """The error for a fixture of a wider scope says that the emulator ends with the test."""
    result = run(
        pytester,
        """
        import pytest

        @pytest.fixture(scope="module")
        def application(dcipher_emulator): pass

        def test_it(application): pass
        """,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ScopeMismatch: *function scoped fixture*dcipher_emulator*"])


def test_unittest_classes(pytester: pytest.Pytester) -> None:
    """A test of a unittest class fails in the same cases, and keeps its own error."""
    result = run(
        pytester,
        """
        import unittest
        import pytest

        class Tests(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _use(self, dcipher_client):
                self.client = dcipher_client

            def test_asks(self):
                with self.assertRaises(Exception):
                    self.client.flows.get("keyword")

            def test_fails(self):
                with self.assertRaises(Exception):
                    self.client.flows.get("keyword")
                self.fail("of its own")
        """,
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*_ Tests.test_asks _*", "Unmatched request: *"])
    result.stdout.fnmatch_lines(["*AssertionError: of its own"])
    assert len([line for line in result.outlines if line.startswith("Unmatched request: ")]) == 1


def test_own_event_loop(pytester: pytest.Pytester) -> None:
    """The async client serves `asyncio.run`, several times, and leaves nothing open."""
    result = run(
        pytester,
        """
        import asyncio, gc

        def test_async(dcipher_emulator, dcipher_async_client, tmp_path):
            async def use():
                path = tmp_path / "o.json"
                run = await dcipher_async_client.flows.run("keywords", save_path=path)
                assert await dcipher_async_client.runs.read(run) == []

            asyncio.run(use())
            asyncio.run(use())

        def test_after():
            gc.collect()
        """,
    )
    result.assert_outcomes(passed=2)


def test_anyio(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The async client serves a test under anyio's plugin, on asyncio and on trio."""
    pytest.importorskip("trio", reason="trio is not installed")
    pytester.makeconftest(FLOW)
    pytester.makepyfile(
        """
        import gc
        import pytest

        @pytest.fixture(scope="module", params=["trio", "asyncio"])
        def anyio_backend(request):
            return request.param

        @pytest.fixture(scope="module")
        async def loop_of_the_module(): yield

        @pytest.mark.anyio
        async def test_async(dcipher_emulator, dcipher_async_client, loop_of_the_module, tmp_path):
            run = await dcipher_async_client.flows.run("keywords", save_path=tmp_path / "o.json")
            assert await dcipher_async_client.runs.read(run) == []

        def test_after():
            gc.collect()
        """
    )
    result = elsewhere(pytester, monkeypatch, "-p", "anyio.pytest_plugin")
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("mode", ["strict", pytest.param("auto", marks=pytest.mark.thorough)])
def test_pytest_asyncio(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """The async client serves a test under pytest-asyncio, in both of its modes."""
    pytest.importorskip("pytest_asyncio", reason="pytest-asyncio is not installed")
    pytester.makeconftest(FLOW)
    mark = "@pytest.mark.asyncio" if mode == "strict" else ""
    pytester.makepyfile(
        f"""
        import gc
        import pytest

        {mark}
        async def test_async(dcipher_emulator, dcipher_async_client, tmp_path):
            run = await dcipher_async_client.flows.run("keywords", save_path=tmp_path / "o.json")
            assert await dcipher_async_client.runs.read(run) == []

        def test_after():
            gc.collect()
        """
    )
    options = ("asyncio_default_fixture_loop_scope=function", f"asyncio_mode={mode}")
    words = [word for option in options for word in ("-o", option)]
    elsewhere(pytester, monkeypatch, "-p", "pytest_asyncio.plugin", *words).assert_outcomes(
        passed=2
    )


def test_xdist(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pytest-xdist, each test has its own emulator, and its report is complete."""
    pytester.makeconftest(FLOW)
    pytester.makepyfile(
        """
        import pytest
        from concurrent.futures import ThreadPoolExecutor

        @pytest.mark.parametrize("n", range(4))
        def test_alone(dcipher_emulator, dcipher_client, n):
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(dcipher_client.flows.start, ["keywords"] * 4))
            assert len(dcipher_emulator.runs) == 4

        def test_asks(dcipher_client):
            with pytest.raises(Exception):
                dcipher_client.flows.get("keyword")
        """
    )
    result = elsewhere(pytester, monkeypatch, "-p", "xdist.plugin", "-n", "2")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        ["Unmatched request: GET /flows/keyword: *", "*- dcipher emulator -*", "  404 GET *"]
    )


def test_missing_extra(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, a fixture fails with the line that installs it, and others tests run."""
    pytester.makeconftest("import sys; sys.modules['fastapi'] = None")
    pytester.makepyfile(
        """
        def test_with(dcipher_client): pass

        def test_without(): pass
        """
    )
    result = elsewhere(pytester, monkeypatch)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["The emulator needs fastapi: pip install *emulator*", "*short test summary*"]
    )


def test_it_imports_nothing_unless_it_is_used(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without fixtures of the plugin imports none of their libraries."""
    pytester.makepyfile(
        """
        import sys

        def test_imports():
            heavy = {"httpx", "fastapi", "uvicorn", "pydantic", "anyio", "asyncio", "tenacity"}
            assert sorted(heavy & set(sys.modules)) == []
            ours = [name for name in sys.modules if name.partition(".")[0] == "dcipher"]
            assert sorted(ours) == ["dcipher", "dcipher._version", "dcipher.pytest_plugin"]
        """
    )
    elsewhere(pytester, monkeypatch).assert_outcomes(passed=1)


def test_entry_point() -> None:
    """An installed dcipher brings the plugin to pytest under the name `dcipher`."""
    try:
        points = distribution("dcipher").entry_points
    except PackageNotFoundError:
        pytest.skip("dcipher is not installed, only on the path")
    assert [(p.name, p.value) for p in points if p.group == "pytest11"] == [
        ("dcipher", "dcipher.pytest_plugin")
    ]


def test_this_suite_goes_without(pytestconfig: pytest.Config) -> None:
    """Loaded here, it would have imported the package before its coverage is measured."""
    assert not pytestconfig.pluginmanager.has_plugin("dcipher")
    assert pytestconfig.pluginmanager.is_blocked("dcipher")
