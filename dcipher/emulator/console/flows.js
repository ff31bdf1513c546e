// Flows: a form for the params of each, which starts a run and shows it.

import { Refused, ask } from "./api.js";
import { h, place, setText, unique } from "./dom.js";
import { ParamField } from "./params.js";
import { RunRow } from "./runs.js";

export class FlowsView {
  constructor(section, context) {
    this.context = context;
    this.forms = new Map();
    this.chosen = null;
    this.list = h("ul", { class: "flow-list" });
    this.place = h("div", { class: "flow-form" });
    this.empty = h("div", { class: "empty" },
      h("h3", {}, "No flows yet"), h("p", {}, "A flow of the emulator is a Python function: @emulator.flow(\"id\"), or Emulator(sample_flows=True)."));
    this.columns = h("div", { class: "columns" }, h("nav", { "aria-label": "Flows" }, this.list), this.place);
    section.append(h("h2", { class: "offscreen" }, "Flows"), this.empty, this.columns);
    this.update([]);
  }

  forget() {
    for (const form of this.forms.values()) form.forget();
  }

  update(flows) {
    this.empty.hidden = flows.length > 0;
    this.columns.hidden = flows.length === 0;
    // A flow that is another one now, after a restart, gets another form; what was typed elsewhere stays.
    const before = this.forms;
    this.forms = new Map(flows.map((flow) => {
      const known = before.get(flow.id);
      return [flow.id, known?.written === JSON.stringify(flow) ? known : new FlowForm(flow, this.context)];
    }));
    place(this.list, flows.map((flow) => h("li", {},
      h("button", { type: "button", class: "flow", "data-flow": flow.id, onclick: () => this.choose(flow.id) },
        h("strong", { class: "clip" }, flow.name ?? flow.id), h("code", { class: "clip" }, flow.id)))));
    if (flows.length) this.choose(this.forms.has(this.chosen) ? this.chosen : flows[0].id);
  }

  choose(id) {
    this.chosen = id;
    for (const button of this.list.querySelectorAll("button")) {
      if (button.dataset.flow === id) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    place(this.place, [this.forms.get(id).element]);
  }

  follow(runs) {
    for (const run of runs) this.forms.get(run.flow_id)?.follow(run);
  }
}

class FlowForm {
  constructor(flow, context) {
    this.flow = flow;
    this.written = JSON.stringify(flow);
    this.context = context;
    this.started = null;
    this.row = null;
    const title = unique("flow");
    const properties = flow.schema.properties ?? {};
    this.fields = (flow.params ?? []).map((param) => new ParamField(param, properties[param.name] ?? {}, flow.schema.$defs ?? {}));
    this.extra = flow.schema.additionalProperties === true
      ? new ParamField({ name: "further params", type: "object", required: false, default: null, description: "An object with names and values of your own." }, {}, {})
      : null;
    const fields = this.extra ? [...this.fields, this.extra] : this.fields;
    this.error = h("p", { class: "error", role: "alert" });
    this.button = h("button", { class: "primary" }, "Start a run");
    this.last = h("ol", { class: "list", "aria-label": "The run that was started here" });
    this.element = h("div", {},
      h("form", { class: "card", "aria-labelledby": title, novalidate: true, onsubmit: (event) => { event.preventDefault(); this.submit(); } },
        h("h3", { id: title, tabindex: "-1" }, flow.name ?? flow.id),
        flow.description && h("p", { class: "description" }, flow.description),
        flow.restricted && h("p", { class: "note" }, "Restricted: the key has no permission for it, and a start gets a 403."),
        flow.outputs > 1 && h("p", { class: "note" }, `It has ${flow.outputs} results.`),
        fields.length ? null : h("p", { class: "muted" }, "It has no params."),
        ...fields.map((field) => field.element),
        this.error, h("div", { class: "actions" }, this.button)),
      this.last);
  }

  forget() {
    this.started = this.row = null;
    place(this.last, []);
  }

  follow(run) {
    if (run.task_id === this.started) {
      if (this.row === null) {
        this.row = new RunRow(run, this.context);
        place(this.last, [this.row.element]);
        this.row.open(true);
      } else this.row.update(run);
    }
  }

  async submit() {
    const fields = this.extra ? [...this.fields, this.extra] : this.fields;
    setText(this.error, "");
    for (const field of fields) field.complain("");
    let members;
    try {
      // Not by JSON.stringify: numbers are sent as they were typed, with all digits.
      members = this.fields.map((field) => field.member()).filter((member) => member !== null);
      const more = this.extra?.json();
      if (more) members.push(more.trim().slice(1, -1));
    } catch (problem) {
      if (!problem.field) throw problem;
      problem.field.complain(problem.message, { focus: true });
      return;
    }
    this.button.disabled = true;
    try {
      const body = `{"pipelineParams":{${members.filter((member) => member.trim()).join(",")}}}`;
      const { task_id: id } = await ask("POST", `flows/${encodeURIComponent(this.flow.id)}/runs`, body);
      this.forget();
      this.started = id;
      const known = this.context.store.runs.get(id);
      if (known) this.follow(known);
      this.context.refresh();
    } catch (error) {
      if (error instanceof Refused && error.status !== 401) this.refused(error);
      else this.context.failed(error);
    } finally {
      this.button.disabled = false;
    }
  }

  refused(error) {
    let focus = true;
    const elsewhere = [];
    for (const item of error.detail) {
      const [, , name, ...path] = item.loc;
      const field = this.fields.find((one) => one.param.name === name);
      const text = path.length ? `${path.join(".")}: ${item.msg}` : item.msg;
      if (field) {
        field.complain(text, { focus, more: true });
        focus = false;
      } else elsewhere.push(`${item.loc.slice(2).join(".")}: ${item.msg}`);
    }
    setText(this.error, error.detail.length ? elsewhere.join("; ") : error.message);
  }
}
