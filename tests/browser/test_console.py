"""The console in a real browser: its use by a person, and hostile texts."""

from __future__ import annotations

import re
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import pytest

pytest.importorskip("fastapi", reason="no FastAPI: pip install 'dcipher[emulator]'")
pytest.importorskip("playwright", reason="no Playwright: pip install --group browser")

from playwright.sync_api import expect

from dcipher import Dcipher
from dcipher.emulator import Emulator
from dcipher.emulator.faults import Cut, Drop, Raw, Respond
from tests.waiting import HANG, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from tests.browser.conftest import Seen

    Visit = Callable[..., tuple[Page, Seen]]

EVIL = '<img src=x onerror=alert(1)></script><script>alert(2)</script>\x1b[31m\u202eevil"'
SHOWN = '<img src=x onerror=alert(1)></script><script>alert(2)</script>\\u001b[31m\\u202eevil"'
SECTIONS = ["runs", "requests", "faults", "flows"]

expect.set_options(timeout=HANG * 1000)


def live(page: Page) -> Page:
    expect(page.locator("#link")).to_have_text("live")
    return page


def section(page: Page, name: str) -> Locator:
    page.get_by_role("tab", name=re.compile(name, re.IGNORECASE)).click()
    return page.get_by_role("tabpanel", name=re.compile(name, re.IGNORECASE))


def open_all(shown: Locator) -> None:
    """Open every row."""
    closed = shown.get_by_role("button", expanded=False)
    for _ in range(closed.count()):
        closed.first.click()
    expect(shown.locator(".details:empty")).to_have_count(0)


def connect(emulator: Emulator) -> Dcipher:
    return Dcipher(emulator.api_key, base_url=emulator.url)


def busy(emulator: Emulator) -> None:
    """An emulator with something of everything, most of it hostile."""

    @emulator.flow("odd", name=EVIL, description=EVIL)
    def odd(
        text: str,
        number: int = 3,
        sure: bool = True,
        choice: Literal["one", "two"] = "one",
        anything: Any = None,
        **more: object,
    ) -> str:
        return text

    @emulator.flow("bad")
    def bad(text: str) -> None:
        raise ValueError(text)

    with connect(emulator) as client:
        _ = client.runs.read(client.flows.run("odd", {"text": EVIL, EVIL: EVIL}), str)
        client.runs.get("bad", client.flows.start("bad", {"text": EVIL}).task_id)
        emulator.fault("flow", Respond(404, body={"message": EVIL}))
        emulator.fault("status", Raw(EVIL.encode()), times=None, flow_id="none")
        emulator.fault("result", Cut(-1, how="reset"), per_run=True, probability=0.5)
        headers = {"X-Evil": "<img src=x onerror=alert(1)>"}
        with pytest.raises(Exception, match="404"):
            client.with_options(headers=headers).flows.get("<img>")


# ---- What a person does.


def test_a_run_from_the_form_to_its_result(emulator: Emulator, visit: Visit) -> None:
    """From the form of a flow to its result, in the form and in the list of runs."""
    page, _ = visit(emulator)
    flows = section(live(page), "Flows")
    flows.get_by_role("button", name="Keywords").click()
    flows.get_by_label("documents").fill("Rivers flow into lakes.\nLakes freeze in winter.")
    flows.get_by_label("top").fill("1")
    flows.get_by_role("button", name="Start a run").click()
    expect(flows.locator(".badge")).to_have_text("SUCCEEDED")
    expect(flows.get_by_role("group", name="Result")).to_contain_text('"term": "')
    (run,) = emulator.runs
    assert run.params["documents"] == ["Rivers flow into lakes.", "Lakes freeze in winter."]
    runs = section(page, "Runs")
    expect(runs.get_by_role("listitem").first).to_contain_text(run.task_id)
    expect(runs.locator(".timeline li[data-state=done]")).to_have_count(4)
    expect(runs.locator(".times")).to_contain_text("ran ")


def test_a_run_moves_along_its_timeline(emulator: Emulator, visit: Visit) -> None:
    """The page shows a run of a program as it waits, runs, and fails, without a reload."""
    go = threading.Event()

    @emulator.flow("slow")
    def slow() -> None:
        assert go.wait(2 * HANG)
        raise ValueError("the corpus is empty")

    page, _ = visit(emulator)
    runs = section(live(page), "Runs")
    expect(runs.get_by_text("No runs yet")).to_be_visible()
    with connect(emulator) as client:
        client.flows.start("slow")
        expect(runs.locator(".timeline [aria-current=step]")).to_have_text("RUNNING")
        expect(page).to_have_title(re.compile("1 active"))
        go.set()
    expect(runs.locator(".badge")).to_have_text("FAILED")
    expect(runs.get_by_text("the corpus is empty")).to_be_visible()
    expect(page).to_have_title("dcipher emulator")


def test_a_fault_is_injected_by_its_button_and_consumed(emulator: Emulator, visit: Visit) -> None:
    """One click; the next request meets it; the journal names it, and nothing of it is left."""
    page, _ = visit(emulator)
    faults = section(live(page), "Faults")
    faults.get_by_role("button", name="503 once").click()
    expect(faults.locator(".badge")).to_have_text("waiting")
    expect(page.get_by_role("status")).to_contain_text("Fault 1 was added")
    assert [rule.effects for rule in emulator.faults] == [(Respond(503),)]
    with connect(emulator) as client:
        assert client.flows.get("topics").id == "topics"
    expect(faults.locator(".badge")).to_have_text("consumed")
    emulator.check_faults()
    requests = section(page, "Requests")
    requests.get_by_label("Show").select_option("With a fault")
    (row,) = requests.locator(".request").all()
    expect(row).to_contain_text("503")
    row.get_by_role("button", expanded=False).click()
    expect(row.get_by_role("group", name="curl")).to_contain_text("$DCIPHER_API_KEY")
    expect(row.get_by_role("group", name="Python")).to_contain_text('client.flows.get("topics")')
    expect(row).not_to_contain_text(emulator.api_key)


def test_a_fault_is_added_in_the_form_and_removed(emulator: Emulator, visit: Visit) -> None:
    """Operation, effect with its values, times. Invalid values are reported, and each fault can be removed."""
    page, seen = visit(emulator)
    seen.expected = ("422",)
    faults = section(live(page), "Faults")
    faults.get_by_label("Operation").select_option("result")
    faults.get_by_label("Effect").select_option("Cut")
    faults.get_by_label("at (JSON)").fill("10")
    faults.get_by_label("how", exact=True).select_option("reset")
    faults.get_by_label("Times").fill("")
    faults.get_by_role("button", name="Add the fault").click()
    expect(faults.get_by_text("1 on result: Cut(10, how='reset')")).to_be_visible()
    (rule,) = emulator.faults
    assert (rule.effects, rule.remaining) == ((Cut(10, how="reset"),), None)
    faults.get_by_label("at (JSON)").fill("ten")
    faults.get_by_role("button", name="Add the fault").click()
    expect(faults.get_by_role("alert")).to_contain_text("at: not JSON")
    faults.get_by_label("at (JSON)").fill("1.5")
    faults.get_by_role("button", name="Add the fault").click()
    expect(faults.get_by_role("alert")).to_contain_text("valid integer")
    faults.get_by_role("button", name="Remove fault 1").click()
    expect(faults.get_by_text("No faults")).to_be_visible()
    assert emulator.faults == ()
    emulator.fault("start", Drop())
    emulator.fault("start", Drop())
    faults.get_by_role("button", name="Remove all").click()
    expect(faults.get_by_text("No faults")).to_be_visible()
    assert emulator.faults == ()


def test_an_invalid_value_is_reported_at_its_field(emulator: Emulator, visit: Visit) -> None:
    """The message is that of the service. The field has the focus, and keeps its text."""
    page, seen = visit(emulator)
    seen.expected = ("422",)
    flows = section(live(page), "Flows")
    flows.get_by_label("documents").fill("Rivers.")
    flows.get_by_label("top").fill("many")
    flows.get_by_role("button", name="Start a run").click()
    field = flows.get_by_label("top")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("valid integer"))
    assert emulator.runs == ()
    field.fill("2")
    flows.get_by_role("button", name="Start a run").click()
    expect(flows.locator(".badge")).to_have_text("SUCCEEDED")
    expect(field).not_to_have_attribute("aria-invalid", "true")


@pytest.mark.thorough
def test_each_type_of_param_has_its_field(emulator: Emulator, visit: Visit) -> None:
    """A value is sent with the type of the param, large numbers exactly, and defaults unchanged."""

    @emulator.flow("types")
    def types(
        text: str,
        big: int,
        sure: bool,
        anything: Any,
        table: dict[str, int],
        choice: Literal["one", "two"] = "two",
        names: list[str] | None = None,
        maybe: str | None = None,
        **more: object,
    ) -> None: ...

    page, _ = visit(emulator)
    flows = section(live(page), "Flows")
    flows.get_by_role("button", name="Types").click()
    flows.get_by_label("text required").fill(EVIL)
    flows.get_by_label("big").fill("12345678901234567890123")
    flows.get_by_label("sure").select_option("true")
    flows.get_by_label("anything is written as").select_option("as JSON")
    flows.get_by_label("anything required").fill("[1, 2.50]")
    flows.get_by_label("table").fill("{")
    flows.get_by_role("button", name="Start a run").click()
    expect(flows.get_by_label("table")).to_be_focused()
    flows.get_by_label("table").fill('{"a": 1}')
    flows.get_by_label("names").fill("first line\n\nsecond line")
    flows.get_by_label("further params").fill('{"extra": null}')
    flows.get_by_role("button", name="Start a run").click()
    expect(flows.locator(".badge")).to_have_text("SUCCEEDED")
    assert emulator.runs[0].params == {
        "text": EVIL,
        "big": 12345678901234567890123,
        "sure": True,
        "anything": [1, 2.5],
        "table": {"a": 1},
        "choice": "two",
        "names": ["first line", "second line"],
        "extra": None,
    }


@pytest.mark.thorough
def test_runs_are_filtered_by_flow_and_status(emulator: Emulator, visit: Visit) -> None:
    """Other runs are hidden until the filter is removed."""
    busy(emulator)
    page, _ = visit(emulator)
    runs = section(live(page), "Runs")
    expect(runs.locator(".run")).to_have_count(2)
    runs.get_by_label("Status").select_option("FAILED")
    expect(runs.locator(".run")).to_have_count(1)
    expect(runs.get_by_text("1 of 2 runs")).to_be_visible()
    runs.get_by_label("Flow").select_option("keywords")
    expect(runs.get_by_text("No run matches.")).to_be_visible()
    runs.get_by_label("Flow").select_option("")
    runs.get_by_label("Status").select_option("")
    expect(runs.locator(".run")).to_have_count(2)


@pytest.mark.thorough
def test_a_text_is_copied_unchanged(emulator: Emulator, visit: Visit) -> None:
    """The button copies the text itself, not its escaped characters."""
    busy(emulator)
    page, _ = visit(emulator, permissions=["clipboard-read", "clipboard-write"])
    runs = section(live(page), "Runs")
    runs.locator(".run", has_text="FAILED").get_by_role("button", expanded=False).click()
    runs.get_by_role("button", name="Copy Message").click()
    expect(runs.get_by_role("button", name="Copy Message")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == EVIL


def test_the_keyboard_is_enough(emulator: Emulator, visit: Visit) -> None:
    """Sections by arrows, a flow's form by Tab, its start by Enter, a run's details by Space."""
    page, _ = visit(emulator)
    live(page)

    def tab_to(name: str) -> None:
        script = """(() => {
            const at = document.activeElement;
            return [at.id, at.textContent, at.labels?.[0]?.textContent].join("|");
        })()"""
        for _ in range(40):
            page.keyboard.press("Tab")
            if name in page.evaluate(script):
                return
        raise AssertionError(f"Tab never came to {name}")

    tab_to("tab-runs")
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="Flows")).to_be_focused()
    tab_to("Language stats")
    page.keyboard.press("Enter")
    tab_to("documents")
    page.keyboard.type("Rivers flow.")
    tab_to("Start a run")
    page.keyboard.press("Enter")
    expect(page.locator("#flows .badge")).to_have_text("SUCCEEDED")
    tab_to("SUCCEEDED")
    details = page.locator("#flows .details")
    expect(details).to_be_visible()
    page.keyboard.press("Space")
    expect(details).to_be_hidden()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


# ---- What a hostile text cannot do.


def test_untrusted_text_is_text(emulator: Emulator, visit: Visit) -> None:
    """Names, params, messages, headers, paths and faults with markup are shown, not interpreted."""
    busy(emulator)
    page, _ = visit(emulator)
    live(page)
    for name in SECTIONS:
        shown = section(page, name)
        open_all(shown)
        if name == "flows":
            shown.get_by_role("button").filter(has_text="<img").click()
        expect(shown).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#runs").get_by_text(SHOWN).first).to_be_attached()
    expect(page.locator("#requests .details")).not_to_have_count(0)
    # Give what must not happen the time to happen.
    page.wait_for_timeout(300)
    assert page.locator("img").count() == 1
    assert page.locator("script").count() == 1
    assert page.locator("main :is(script, iframe, object, a[href], link, style)").count() == 0
    assert "\u202e" not in page.locator("body").inner_text()


# ---- How it looks.


@pytest.mark.thorough
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_window(
    emulator: Emulator, visit: Visit, scheme: str, width: int
) -> None:
    """On a telephone and on a wide screen, with everything open; dark is dark, light is light."""
    busy(emulator)
    page, _ = visit(emulator, width=width, color_scheme=scheme)
    live(page)
    for name in SECTIONS:
        shown = section(page, name)
        open_all(shown)
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        for tab in page.get_by_role("tab").all():
            box = tab.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3
    assert (brightness > 200) if scheme == "light" else (brightness < 60)


@pytest.mark.thorough
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(emulator: Emulator, visit: Visit, scheme: str) -> None:
    """Roles, names, structure and contrast, as axe-core measures them in each section."""
    if not find_spec("axe_playwright_python"):
        pytest.skip("no axe-core: pip install --group browser")
    from axe_playwright_python.sync_playwright import Axe

    busy(emulator)
    page, _ = visit(emulator, color_scheme=scheme, reduced_motion="reduce")
    live(page)
    for name in SECTIONS:
        shown = section(page, name)
        open_all(shown)
        page.wait_for_timeout(200)
        results = Axe().run(page)
        found = [
            (violation["id"], node["html"], node["failureSummary"])
            for violation in results.response["violations"]
            for node in violation["nodes"]
        ]
        assert found == [], name


@pytest.mark.thorough
def test_motion_is_reduced_on_request(emulator: Emulator, visit: Visit) -> None:
    """Nothing is animated if the user prefers reduced motion."""
    emulator.flow("slow", duration=60)(lambda: None)
    with connect(emulator) as client:
        client.flows.start("slow")
    script = "document.getAnimations().filter((one) => one.playState === 'running').length"
    for motion, moving in (("reduce", False), ("no-preference", True)):
        page, _ = visit(emulator, reduced_motion=motion)
        expect(live(page).locator("#runs .badge")).to_have_text("RUNNING")
        assert (page.evaluate(script) > 0) is moving


# ---- What may happen to the emulator.


def test_a_reset_is_reported_and_shown(emulator: Emulator, visit: Visit) -> None:
    """By the button of the page, which asks first, and by another program."""
    with connect(emulator) as client:
        client.flows.start("topics", {"documents": ["Rivers."]})
    page, _ = visit(emulator)
    expect(live(page).locator("#runs .run")).to_have_count(1)
    page.get_by_role("button", name="Reset…").click()
    page.get_by_role("button", name="Cancel").click()
    assert len(emulator.runs) == 1
    page.get_by_role("button", name="Reset…").click()
    page.get_by_role("button", name="Reset", exact=True).click()
    expect(page.locator("#runs .run")).to_have_count(0)
    expect(page.get_by_role("status")).to_contain_text("was reset")
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("status")).to_be_empty()
    assert emulator.runs == ()
    emulator.reset()
    expect(page.get_by_role("status")).to_contain_text("was reset")


@pytest.mark.thorough
def test_an_emulator_that_is_restarted(visit: Visit) -> None:
    """The page reports a stopped emulator, retries rarely, and shows the new one from its beginning."""
    first = Emulator(sample_flows=True)
    first.start()
    with connect(first) as client:
        client.flows.start("topics", {"documents": ["Rivers."]})
    page, seen = visit(first)
    seen.expected = ("ERR_",)
    expect(live(page).locator("#runs .run")).to_have_count(1)
    first.stop()
    expect(page.locator("#link")).to_have_text("gone")
    expect(page.get_by_role("status")).to_contain_text("does not respond")
    page.wait_for_timeout(2500)
    assert len(seen.errors) <= 4
    page.get_by_role("button", name="Try now").click()
    port = int(first.url.rpartition(":")[2])
    with Emulator(port=port) as second:
        second.flow("other", name="Other")(lambda: None)
        live(page)
        expect(page.get_by_role("status")).to_contain_text("was restarted")
        expect(page.locator("#runs .run")).to_have_count(0)
        expect(section(page, "Flows").locator("button.flow")).to_have_text("Otherother")


def test_the_key_is_kept_in_memory_only(visit: Visit) -> None:
    """A wrong one is rejected. The right one opens the page, and a reload requests it again."""
    with Emulator(allow_remote=True, sample_flows=True) as emulator:
        page, seen = visit(emulator)
        seen.expected = ("401",)
        field = page.locator("#key")
        expect(field).to_be_focused()
        field.fill("emu_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("not that of this emulator")
        page.keyboard.press("Escape")
        field.fill(emulator.api_key)
        page.get_by_role("button", name="Continue").click()
        live(page)
        flows = section(page, "Flows")
        flows.get_by_label("documents").fill("Rivers.")
        flows.get_by_role("button", name="Start a run").click()
        expect(flows.locator(".badge")).to_have_text("SUCCEEDED")
        kept = page.evaluate(
            "[location.href, document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage),"
            " document.documentElement.outerHTML, document.getElementById('key').value].join('')"
        )
        assert emulator.api_key not in kept
        assert not [url for url in seen.requests if emulator.api_key in url]
        page.reload()
        expect(page.locator("#key")).to_be_visible()


@pytest.mark.thorough
def test_a_background_page_sends_no_requests(emulator: Emulator, visit: Visit) -> None:
    """A page in the background is silent, and continues when it is visible."""
    page, seen = visit(emulator)
    live(page)
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    expect(page.locator("#link")).to_have_text("paused")
    page.wait_for_timeout(700)
    before = len(seen.requests)
    page.wait_for_timeout(1200)
    assert len(seen.requests) == before
    page.evaluate(hide, False)
    live(page)
    assert len(seen.requests) > before


@pytest.mark.thorough
def test_ten_thousand_runs(emulator: Emulator, visit: Visit) -> None:
    """All are counted, few are drawn, and an update without changes is small and fast."""
    flow = emulator._service.flows.add("many", lambda: None, duration=3600)
    runs = emulator._service.runs

    def start_all() -> None:
        for _ in range(10_000):
            runs.launch(runs.make(flow, {}, None, b"{}"), flow, flow.bind({}))

    emulator._listener.call(start_all)
    page, _ = visit(emulator)
    expect(page.locator("#tab-runs")).to_have_text("Runs 10,000")
    expect(page.locator("#runs .summary")).to_have_text("10,000 runs, the newest 1,000 are listed")
    assert page.locator("#runs .run").count() <= 50
    with no_hang():
        section(page, "Flows").get_by_role("button", name="Topics").click()
        section(page, "Runs").get_by_role("button", name="Show more").click()
        assert page.locator("#runs .run").count() > 100
