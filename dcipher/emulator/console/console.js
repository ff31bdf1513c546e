// The page: polls the state twice a second while it is visible, and passes it to the sections.

import { Gone, Refused, ask, useKey } from "./api.js";
import { h, setText } from "./dom.js";
import { FaultsView } from "./faults.js";
import { FlowsView } from "./flows.js";
import { RequestsView } from "./requests.js";
import { RunsView } from "./runs.js";

const INTERVAL = 500;
const LONGEST = 30000;
const SECTIONS = ["runs", "requests", "faults", "flows"];

const byId = (id) => document.getElementById(id);
const store = { runs: new Map(), flows: new Map(), clockOffset: 0 };
const notices = { link: null, news: null };

let etag = "";
let shown = null;
let failures = 0;
let timer = null;
let busy = false;
let again = false;
let keyTried = false;

const context = { store, refresh, show, select, failed };
const views = {
  runs: new RunsView(byId("runs"), context),
  requests: new RequestsView(byId("requests"), context),
  faults: new FaultsView(byId("faults"), context),
  flows: new FlowsView(byId("flows"), context),
};

// ---- Notices.

function show(kind, ...children) {
  notices[kind] = children.length ? h("div", { class: `message ${kind}` }, ...children) : null;
  if (kind === "news" && notices.news) {
    const close = h("button", { type: "button", class: "small quiet", onclick: () => show("news") }, "Dismiss");
    notices.news.append(close);
  }
  byId("notice").replaceChildren(...Object.values(notices).filter(Boolean));
}

function setLink(state, text) {
  byId("link").dataset.state = state;
  setText(byId("link-text"), text);
}

function failed(error) {
  if (error instanceof Gone) refresh();
  else if (error instanceof Refused && error.status === 401) askKey(error);
  else show("news", error.message);
}

// ---- Polling.

function refresh() {
  failures = 0;
  schedule(0);
}

function schedule(delay) {
  clearTimeout(timer);
  timer = document.hidden ? null : setTimeout(poll, delay);
}

async function poll() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  let delay = INTERVAL;
  try {
    const state = await ask("GET", `state?known=${etag}`);
    failures = 0;
    setLink("live", "live");
    if (notices.link) show("link");
    store.clockOffset = Date.now() / 1000 - state.now;
    if (state.etag !== etag) update(state);
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      askKey(error);
      return;
    }
    if (!(error instanceof Gone || error instanceof Refused)) throw error;
    // Each failed request is a line in the browser's console, so the delay grows.
    delay = Math.min(LONGEST, 1000 * 2 ** failures);
    failures += 1;
    setLink("gone", "gone");
    const retry = h("button", { type: "button", class: "small", onclick: refresh }, "Try now");
    const what = error instanceof Gone ? "The emulator does not respond: it was stopped, or it is busy." : error.message;
    show("link", `${what} Next try in ${delay / 1000} s. `, retry);
  } finally {
    busy = false;
    if (!byId("key-dialog").open) schedule(again ? 0 : delay);
    again = false;
  }
}

function update(state) {
  const isNew = state.emulator !== shown?.emulator;
  if (isNew || state.resets !== shown.resets) {
    if (shown) show("news", `The emulator was ${isNew ? "restarted" : "reset: its runs, requests and faults were removed"}. `);
    for (const view of Object.values(views)) view.forget();
    shown = null;
  }
  const changed = (name) => JSON.stringify(state[name]) !== JSON.stringify(shown?.[name]);
  store.runs = new Map(state.runs.map((run) => [run.task_id, run]));
  if (changed("flows")) {
    store.flows = new Map(state.flows.map((flow) => [flow.id, flow]));
    views.flows.update(state.flows);
    views.runs.updateFlows(state.flows);
    views.faults.updateFlows(state.flows);
  }
  if (changed("faults")) views.faults.update(state.faults);
  views.runs.update(state.run_count);
  views.requests.update(state.requests, state.request_count);
  views.flows.follow(state.runs);
  setCount("flows", state.flows.length);
  setCount("faults", state.faults.filter((fault) => !fault.consumed || fault.remaining === null).length);
  setCount("runs", state.run_count);
  setCount("requests", state.request_count);
  setTitle();
  ({ etag } = state);
  shown = state;
}

function setCount(name, count) {
  setText(byId(`tab-${name}`).querySelector(".count"), count ? count.toLocaleString("en") : "");
}

function setTitle() {
  const active = views.runs.active;
  const title = active ? `${active} active · dcipher emulator` : "dcipher emulator";
  if (document.title !== title) document.title = title;
}

// ---- Sections, as tabs: arrows move, as the ARIA practices say.

function select(name, { focus = false } = {}) {
  for (const section of SECTIONS) {
    const chosen = section === name;
    const tab = byId(`tab-${section}`);
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    byId(section).hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
  history.replaceState(null, "", `#${name}`);
}

byId("tab-runs").parentElement.addEventListener("keydown", (event) => {
  const at = SECTIONS.findIndex((name) => byId(`tab-${name}`) === document.activeElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + SECTIONS.length, Home: 0, End: SECTIONS.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  select(SECTIONS[to % SECTIONS.length], { focus: true });
});
for (const name of SECTIONS) byId(`tab-${name}`).addEventListener("click", () => select(name));

// ---- The key, and the reset.

function askKey(error) {
  const dialog = byId("key-dialog");
  if (dialog.open) return;
  setLink("waiting", "needs its key");
  setText(byId("key-error"), keyTried ? error.message : "");
  dialog.showModal();
}

byId("key-dialog").addEventListener("close", () => {
  const text = byId("key").value.trim();
  byId("key").value = "";
  keyTried = true;
  // A header takes no other characters, and no key has any.
  useKey(/^[\x21-\x7e]+$/.test(text) ? text : "?");
  refresh();
});
byId("key-dialog").addEventListener("cancel", (event) => event.preventDefault());

byId("reset").addEventListener("click", () => {
  byId("reset-dialog").returnValue = "";
  byId("reset-dialog").showModal();
});
byId("reset-dialog").addEventListener("close", async () => {
  if (byId("reset-dialog").returnValue !== "yes") return;
  try {
    await ask("POST", "reset");
    refresh();
  } catch (error) {
    failed(error);
  }
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) setLink("waiting", "paused");
  refresh();
});
setText(byId("url"), location.origin);
select(SECTIONS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "runs");
poll();
