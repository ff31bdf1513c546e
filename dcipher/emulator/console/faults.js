// Faults: a button for each usual one, a form for the others, and the state of each.

import { Refused, ask } from "./api.js";
import { h, place, setText, unique } from "./dom.js";

const OPERATIONS = [["", "any"], ["flow", "flow: request for a flow"], ["start", "start: start of a run"],
  ["status", "status: poll of a run"], ["result", "result: download"]];

class FaultRow {
  constructor(fault, view) {
    this.progress = h("span", { class: "times" });
    this.badge = h("span", { class: "badge" });
    this.element = h("li", { class: "request" },
      h("div", { class: "line" },
        h("span", { class: "toggle still" }, this.badge, h("span", { class: "what" }, h("code", { class: "wrap" }, fault.words), this.scope(fault))),
        this.progress,
        h("button", { type: "button", class: "small", "aria-label": `Remove fault ${fault.id}`, onclick: () => view.remove(fault) }, "Remove")));
    this.update(fault);
  }

  scope(fault) {
    const notes = [];
    if (fault.nth) notes.push(`from request ${fault.nth} on`);
    if (fault.per_run) notes.push("counted for each run");
    if (fault.probability < 1) notes.push(`with probability ${fault.probability}, seed ${fault.seed}`);
    for (const name of ["flow_id", "task_id", "output_index"]) if (fault[name] !== null) notes.push(`${name} ${fault[name]}`);
    return notes.length ? h("span", { class: "muted" }, notes.join(", ")) : null;
  }

  update(fault) {
    const over = fault.remaining === 0;
    this.badge.dataset.tone = over ? "done" : fault.hits ? "good" : "warn";
    setText(this.badge, over ? "consumed" : fault.hits ? "at work" : "waiting");
    const left = fault.remaining === null ? "no end" : `${fault.remaining} left`;
    setText(this.progress, `applied ${fault.hits} × · ${left}`);
  }
}

export class FaultsView {
  constructor(section, context) {
    this.context = context;
    this.rows = new Map();
    this.effects = [];
    this.inputs = [];
    this.presets = h("ul", { class: "presets" });
    this.list = h("ol", { class: "list", "aria-label": "Faults, in their order" });
    this.empty = h("p", { class: "empty" }, "No faults. A fault is listed here until it is consumed, and afterwards.");
    this.clear = h("button", { type: "button", class: "small", onclick: () => this.removeAll() }, "Remove all");
    section.append(
      h("h2", {}, "The next fault"),
      h("p", { class: "muted" }, "One click adds one fault. Your program should handle it."),
      this.presets,
      h("div", { class: "title" }, h("h2", {}, "Waiting and used"), this.clear),
      this.empty, this.list,
      h("h2", {}, "Another fault"),
      this.form());
    this.update([]);
    this.load();
  }

  forget() {
    this.rows.clear();
    this.update([]);
    if (!this.effects.length) this.load();
  }

  async load() {
    try {
      const { presets, effects } = await ask("GET", "catalogue");
      this.effects = effects;
      place(this.presets, presets.map((preset) => h("li", {}, this.presetButton(preset))));
      this.offerEffects();
    } catch {
      // The polling of the page reports the problem, and loads this again.
    }
  }

  presetButton(preset) {
    const description = unique("description");
    return h("button", { type: "button", class: "preset", "aria-describedby": description, onclick: (event) => this.add(preset.fault, event.currentTarget) },
      h("strong", {}, preset.title), h("span", { id: description }, preset.description));
  }

  // ---- The form.

  form() {
    this.operation = h("select", { id: "fault-operation", onchange: () => this.offerEffects() },
      ...OPERATIONS.map(([value, text]) => h("option", { value }, text)));
    this.effect = h("select", { id: "fault-effect", onchange: () => this.offerValues() });
    this.description = h("p", { class: "muted wide", id: "fault-description" });
    this.effect.setAttribute("aria-describedby", "fault-description");
    this.values = h("div", { class: "grid wide" });
    this.times = h("input", { id: "fault-times", type: "number", min: "1", step: "1", value: "1", "aria-describedby": "fault-times-hint" });
    this.nth = h("input", { id: "fault-nth", type: "number", min: "1", step: "1", "aria-describedby": "fault-nth-hint" });
    this.flow = h("select", { id: "fault-flow" }, h("option", { value: "" }, "all flows"));
    this.perRun = h("input", { id: "fault-per-run", type: "checkbox" });
    this.error = h("p", { class: "error wide", role: "alert" });
    const field = (input, label, hint) => h("div", { class: "field" }, h("label", { for: input.id }, label), input,
      hint && h("small", { id: `${input.id}-hint` }, hint));
    return h("form", { class: "card grid", novalidate: true, onsubmit: (event) => { event.preventDefault(); this.submit(); } },
      field(this.operation, "Operation"), field(this.effect, "Effect"), this.description, this.values,
      field(this.times, "Times", "empty: any number"), field(this.nth, "From which request", "empty: the next one"), field(this.flow, "Flow"),
      h("div", { class: "field check" }, this.perRun, h("label", { for: "fault-per-run" }, "Count separately for each run")),
      this.error, h("div", { class: "actions wide" }, h("button", { class: "primary" }, "Add the fault")));
  }

  updateFlows(flows) {
    const chosen = this.flow.value;
    this.flow.replaceChildren(h("option", { value: "" }, "all flows"), ...flows.map((flow) => h("option", { value: flow.id }, flow.id)));
    this.flow.value = flows.some((flow) => flow.id === chosen) ? chosen : "";
  }

  offerEffects() {
    const operation = this.operation.value;
    const chosen = this.effect.value;
    const fitting = this.effects.filter((effect) => !operation || effect.operations.includes(operation));
    this.effect.replaceChildren(...fitting.map((effect) => h("option", { value: effect.kind }, effect.name)));
    const wanted = fitting.some((effect) => effect.kind === chosen) ? chosen : "respond";
    this.effect.value = fitting.some((effect) => effect.kind === wanted) ? wanted : fitting[0]?.kind;
    this.offerValues();
  }

  offerValues() {
    const effect = this.effects.find((one) => one.kind === this.effect.value);
    setText(this.description, effect ? effect.description : "");
    this.inputs = (effect?.values ?? []).map((value) => valueInput(value));
    this.values.replaceChildren(...this.inputs.map((input) => input.element));
  }

  async submit() {
    setText(this.error, "");
    const effect = { kind: this.effect.value };
    try {
      for (const input of this.inputs) input.read(effect);
    } catch (error) {
      setText(this.error, error.message);
      return;
    }
    const fault = { operation: this.operation.value || null, effects: [effect], times: this.times.value ? Number(this.times.value) : null };
    if (this.nth.value) fault.nth = Number(this.nth.value);
    if (this.flow.value) fault.flow_id = this.flow.value;
    if (this.perRun.checked) fault.per_run = true;
    await this.add(fault);
  }

  // ---- The list.

  async add(fault, button) {
    try {
      const added = await ask("POST", "faults", JSON.stringify(fault));
      this.context.show("news", `Fault ${added.id} was added. `);
      if (button) {
        button.dataset.added = "true";
        setTimeout(() => delete button.dataset.added, 900);
      }
      this.context.refresh();
    } catch (error) {
      if (error instanceof Refused && error.status !== 401) setText(this.error, error.message);
      else this.context.failed(error);
    }
  }

  remove(fault) {
    return this.change("DELETE", `faults/${fault.id}`);
  }

  removeAll() {
    return this.change("DELETE", "faults");
  }

  async change(method, path) {
    try {
      await ask(method, path);
    } catch (error) {
      // It was removed already.
      if (!(error instanceof Refused) || error.status !== 404) this.context.failed(error);
    }
    this.context.refresh();
  }

  update(faults) {
    const keys = new Map(faults.map((fault) => [`${fault.id} ${fault.words}`, fault]));
    for (const key of this.rows.keys()) if (!keys.has(key)) this.rows.delete(key);
    place(this.list, [...keys].map(([key, fault]) => {
      if (!this.rows.has(key)) this.rows.set(key, new FaultRow(fault, this));
      this.rows.get(key).update(fault);
      return this.rows.get(key).element;
    }));
    this.empty.hidden = faults.length > 0;
    this.clear.hidden = faults.length === 0;
  }
}

// A field for an argument of an effect: text or JSON. An empty field is omitted.
function valueInput(value) {
  const id = unique("value");
  const hint = value.description ? `${id}-hint` : undefined;
  const written = value.default === null ? "" : value.text && typeof value.default === "string" ? value.default : JSON.stringify(value.default);
  const input = value.choices.length
    ? h("select", { id, "aria-describedby": hint }, ...value.choices.map((choice) => h("option", { value: choice }, choice)))
    : h("input", { id, type: "text", spellcheck: "false", autocomplete: "off", "aria-describedby": hint });
  input.value = written;
  if (value.choices.length) input.value = value.default;
  const kind = value.choices.length || value.text ? "" : " (JSON)";
  const element = h("div", { class: "field" }, h("label", { for: id }, value.name.replaceAll("_", " ") + kind), input,
    value.description && h("small", { id: hint }, value.description));
  const read = (effect) => {
    if (input.value === "") return;
    if (value.choices.length || value.text) effect[value.name] = input.value;
    else {
      try {
        effect[value.name] = JSON.parse(input.value);
      } catch {
        throw new Error(`${value.name}: not JSON. A text needs double quotes.`);
      }
    }
  };
  return { element, read };
}
