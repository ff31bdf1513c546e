// Runs, newest first, each moving along its timeline.

import { ask } from "./api.js";
import { codeBox, copyButton, h, place, setText, unique } from "./dom.js";
import { bytes, clock, duration, plural } from "./format.js";

const PAGE = 50;
const STEPS = ["PENDING", "QUEUED", "RUNNING", "SUCCEEDED"];

export const isOver = (run) => run.status === "SUCCEEDED" || run.status === "FAILED";

// One run, as a row whose element stays the same.
export class RunRow {
  constructor(run, context) {
    this.context = context;
    this.run = run;
    this.shownStatus = null;
    const details = unique("run");
    this.badge = h("span", { class: "badge" });
    this.flow = h("strong", { class: "clip" });
    this.steps = STEPS.map((step) => h("li", {}, h("span", { class: "step" }, step)));
    this.timeline = h("ol", { class: "timeline", "aria-label": "Timeline" }, ...this.steps);
    this.times = h("span", { class: "times" });
    this.message = h("p", { class: "run-message clip", hidden: true });
    this.body = h("div", { class: "details", id: details, hidden: true });
    this.toggle = h("button", {
      type: "button", class: "toggle", "aria-expanded": "false", "aria-controls": details,
      onclick: () => this.open(this.body.hidden),
    }, this.badge, h("span", { class: "what" }, this.flow, h("code", { class: "clip" }, run.task_id)));
    this.element = h("li", { class: "run" },
      h("div", { class: "line" }, this.toggle, this.timeline, this.times), this.message, this.body);
    this.update(run);
  }

  update(run) {
    this.run = run;
    if (this.shownStatus !== run.status) {
      this.shownStatus = run.status;
      this.element.dataset.status = run.status;
      setText(this.badge, run.status);
      const at = run.status === "FAILED" ? 3 : STEPS.indexOf(run.status);
      this.steps.forEach((step, index) => {
        step.dataset.state = index < at || (index === at && isOver(run)) ? "done" : index === at ? "now" : "next";
        if (index === at) step.setAttribute("aria-current", "step");
        else step.removeAttribute("aria-current");
      });
      setText(this.steps[3].firstChild, run.status === "FAILED" ? "FAILED" : "SUCCEEDED");
      this.steps[3].dataset.failed = String(run.status === "FAILED");
      if (!this.body.hidden) this.load();
    }
    setText(this.flow, this.context.store.flows.get(run.flow_id)?.name ?? run.flow_id);
    this.message.hidden = !run.message;
    setText(this.message, run.message ?? "");
    this.tick();
  }

  tick() {
    const run = this.run;
    const now = Date.now() / 1000 - this.context.store.clockOffset;
    const waited = (run.started_at ?? run.finished_at ?? now) - run.created_at;
    const parts = [`waited ${duration(waited)}`];
    if (run.started_at !== null) {
      parts.push(`${isOver(run) ? "ran" : "running"} ${duration((run.finished_at ?? now) - run.started_at)}`);
    }
    setText(this.times, parts.join(" · "));
  }

  open(wanted) {
    this.body.hidden = !wanted;
    this.toggle.setAttribute("aria-expanded", String(wanted));
    if (wanted) this.load();
  }

  async load() {
    const before = this.run.status;
    try {
      const run = await ask("GET", `runs/${encodeURIComponent(this.run.task_id)}`);
      // A response that is older than the shown status is ignored: another request follows.
      if (before === this.run.status) this.body.replaceChildren(...this.details(run));
    } catch (error) {
      this.context.failed(error);
    }
  }

  details(run) {
    const facts = [["Run", run.task_id, true], ["Flow", run.flow_id, true], ["Started", clock(run.created_at)]];
    if (run.idempotency_key) facts.push(["Idempotency-Key", run.idempotency_key, true]);
    if (run.urls_expired) facts.push(["Signed URLs", "expired by a fault"]);
    const parts = [factList(facts)];
    if (run.message) parts.push(codeBox("Message", run.message));
    const results = run.results.map((result, index) => {
      const title = run.results.length > 1 ? `Result ${index}` : "Result";
      return codeBox(title, result.text ?? "(not text)", { note: `${result.content_type} · ${bytes(result.size)}` });
    });
    const params = codeBox("Params", run.params);
    parts.push(results.length ? h("div", { class: "pair" }, params, h("div", {}, ...results)) : params);
    const again = `from dcipher import Dcipher\n\nwith Dcipher(base_url=${JSON.stringify(location.origin)}) as client:\n` +
      `    run = client.runs.get(${JSON.stringify(run.flow_id)}, ${JSON.stringify(run.task_id)})\n    print(run.status, run.message)`;
    parts.push(codeBox("Get it in Python", again));
    return parts;
  }
}

export function factList(facts) {
  return h("dl", { class: "facts" }, ...facts.flatMap(([name, value, copied]) => [
    h("dt", {}, name),
    h("dd", {}, h("code", {}, value), copied && copyButton(String(value), name)),
  ]));
}

export class RunsView {
  constructor(section, context) {
    this.context = context;
    this.rows = new Map();
    this.limit = PAGE;
    this.active = 0;
    this.total = 0;
    this.flow = h("select", { id: "runs-flow", onchange: () => this.filter() }, h("option", { value: "" }, "All flows"));
    this.status = h("select", { id: "runs-status", onchange: () => this.filter() },
      ...[["", "Any status"], ["active", "Active"], ["PENDING", "PENDING"], ["QUEUED", "QUEUED"], ["RUNNING", "RUNNING"],
        ["SUCCEEDED", "SUCCEEDED"], ["FAILED", "FAILED"]].map(([value, text]) => h("option", { value }, text)));
    this.summary = h("p", { class: "muted summary" });
    this.list = h("ol", { class: "list", "aria-label": "Runs, newest first" });
    this.more = h("button", { type: "button", class: "more", hidden: true, onclick: () => { this.limit += PAGE * 4; this.render(); } });
    this.empty = h("div", { class: "empty" });
    section.append(
      h("h2", { class: "offscreen" }, "Runs"),
      h("div", { class: "toolbar" },
        h("label", { for: "runs-flow" }, "Flow"), this.flow, h("label", { for: "runs-status" }, "Status"), this.status, this.summary),
      this.empty, this.list, this.more);
    setInterval(() => this.tick(), 250);
    this.render();
  }

  forget() {
    this.rows.clear();
    this.limit = PAGE;
  }

  updateFlows(flows) {
    const chosen = this.flow.value;
    this.flow.replaceChildren(h("option", { value: "" }, "All flows"),
      ...flows.map((flow) => h("option", { value: flow.id }, `${flow.name ?? flow.id} (${flow.id})`)));
    this.flow.value = flows.some((flow) => flow.id === chosen) ? chosen : "";
    this.render();
  }

  update(total) {
    this.total = total;
    this.render();
  }

  filter() {
    this.limit = PAGE;
    this.render();
  }

  matches(run) {
    const status = this.status.value;
    return (!this.flow.value || run.flow_id === this.flow.value) &&
      (!status || (status === "active" ? !isOver(run) : run.status === status));
  }

  render() {
    const all = this.context.store.runs;
    const found = [];
    let count = 0;
    this.active = 0;
    for (const run of [...all.values()].reverse()) {
      if (!isOver(run)) this.active += 1;
      if (!this.matches(run)) continue;
      count += 1;
      if (found.length < this.limit) found.push(run);
    }
    const shown = new Set(found.map((run) => run.task_id));
    for (const [id, row] of this.rows) if (!shown.has(id) && row.body.hidden) this.rows.delete(id);
    place(this.list, found.map((run) => {
      if (!this.rows.has(run.task_id)) this.rows.set(run.task_id, new RunRow(run, this.context));
      const row = this.rows.get(run.task_id);
      if (row.run !== run) row.update(run);
      return row.element;
    }));
    this.more.hidden = count <= found.length;
    setText(this.more, `Show more of ${plural(count - found.length, "older run")}`);
    const kept = this.total > all.size ? `, the newest ${all.size.toLocaleString("en")} are listed` : "";
    setText(this.summary, (count === all.size ? "" : `${count.toLocaleString("en")} of `) + plural(this.total, "run") + kept);
    this.showEmpty(count, all.size);
  }

  showEmpty(count, total) {
    this.empty.hidden = count > 0;
    const state = total ? "filtered" : "none";
    if (this.empty.dataset.state === state) return;
    this.empty.dataset.state = state;
    if (total) {
      this.empty.replaceChildren(h("p", {}, "No run matches."));
      return;
    }
    const code = `from dcipher import Dcipher\n\nwith Dcipher(base_url=${JSON.stringify(location.origin)}) as client:\n` +
      `    run = client.flows.run("FLOW", {"text": "…"})\n    print(run.status)`;
    this.empty.replaceChildren(
      h("h3", {}, "No runs yet"),
      h("p", {}, "Start one from a form, or from your program; its progress appears here."),
      h("p", {}, h("button", { type: "button", class: "primary", onclick: () => this.context.select("flows", { focus: true }) }, "Choose a flow")),
      codeBox("From Python, with the key in DCIPHER_API_KEY", code));
  }

  tick() {
    if (document.hidden) return;
    for (const row of this.rows.values()) if (!isOver(row.run)) row.tick();
  }
}
