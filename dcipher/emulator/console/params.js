// A field of a form for one param of a flow, by its type: JSON only where no simpler field fits.

import { h, setText, unique } from "./dom.js";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

class Problem extends Error {
  constructor(message, field) {
    super(message);
    this.field = field;
  }
}

// What a param's schema comes to: references followed, and "or null" left out.
function resolved(schema, definitions, depth = 0) {
  if (depth > 8) return {};
  if (schema.$ref) return resolved(definitions[schema.$ref.split("/").pop()] ?? {}, definitions, depth + 1);
  const branches = schema.anyOf ?? schema.allOf;
  if (branches) {
    const found = branches.map((branch) => resolved(branch, definitions, depth + 1)).filter((branch) => branch.type !== "null");
    return found.length === 1 ? found[0] : {};
  }
  return schema;
}

export class ParamField {
  constructor(param, schema, definitions) {
    this.param = param;
    const found = resolved(schema, definitions);
    this.kind = kindOf(param.type ?? found.type, found, definitions);
    this.found = found;
    const id = unique("param");
    this.hint = h("small", { id: `${id}-hint` }, this.hintText());
    this.problem = h("p", { class: "error", id: `${id}-error` });
    this.input = this.makeInput(id);
    this.input.id = id;
    this.input.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
    if (param.required) this.input.setAttribute("aria-required", "true");
    this.mode = null;
    if (this.kind === "any") {
      this.mode = h("select", { "aria-label": `${param.name} is written as` }, h("option", { value: "text" }, "as text"), h("option", { value: "json" }, "as JSON"));
      if (param.default !== null && param.default !== undefined && typeof param.default !== "string") this.mode.value = "json";
    }
    const label = h("label", { for: id }, param.name, " ", h("span", { class: "muted" }, param.required ? "required" : "optional"));
    this.element = h("div", { class: "field" },
      h("div", { class: "label" }, label, h("span", { class: "type" }, this.typeWord()), this.mode), this.input, this.hint, this.problem);
  }

  typeWord() {
    if (this.kind === "lines") return "list of text";
    if (this.kind === "choice") return "choice";
    return this.param.type ?? "any value";
  }

  hintText() {
    const hints = [];
    if (this.param.description) hints.push(this.param.description);
    if (this.kind === "lines") hints.push("One item a line, or a JSON array.");
    if (this.kind === "json") hints.push("JSON.");
    if (this.param.default !== null && this.param.default !== undefined) hints.push(`Default: ${JSON.stringify(this.param.default)}.`);
    else if (!this.param.required) hints.push("Empty: left out.");
    return hints.join(" ");
  }

  makeInput() {
    const { param, kind } = this;
    const given = param.default ?? null;
    if (kind === "boolean" || kind === "choice") {
      const values = kind === "boolean" ? [true, false] : this.found.enum;
      const blank = param.required && kind === "choice" ? "choose…" : param.required ? null : "(left out)";
      const select = h("select", {}, blank !== null && h("option", { value: "" }, blank),
        ...values.map((value) => h("option", { value: JSON.stringify(value) }, typeof value === "string" ? value : JSON.stringify(value))));
      if (given !== null) select.value = JSON.stringify(given);
      else if (kind === "boolean" && param.required) select.value = "false";
      return select;
    }
    if (kind === "number") {
      return h("input", { type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false", value: given === null ? "" : String(given) });
    }
    const tall = kind === "lines" ? 5 : kind === "json" ? 4 : 2;
    const area = h("textarea", { rows: String(tall), spellcheck: kind === "json" ? "false" : "true" });
    if (kind === "lines") area.value = given === null ? "" : given.some((item) => /\n/.test(item)) ? JSON.stringify(given) : given.join("\n");
    else if (given !== null) area.value = typeof given === "string" && kind !== "json" ? given : JSON.stringify(given);
    return area;
  }

  // What stands between the braces for this param; null where it is left out.
  member() {
    const json = this.json();
    return json === null ? null : `${JSON.stringify(this.param.name)}:${json}`;
  }

  json() {
    const text = this.input.value;
    const blank = text.trim() === "";
    switch (this.kind) {
      case "boolean":
      case "choice":
        return text === "" ? null : text;
      case "number":
        // Text that is not a number is sent as text, so that the service reports the error.
        return blank ? null : NUMBER.test(text.trim()) ? text.trim() : JSON.stringify(text);
      case "lines":
        return blank && !this.param.required ? null : this.lines(text);
      case "json":
        return blank ? null : this.checked(text);
      case "any":
        if (this.mode.value === "json") return blank ? null : this.checked(text);
      // falls through
      default:
        return text === "" && !this.param.required && typeof this.param.default !== "string" ? null : JSON.stringify(text);
    }
  }

  lines(text) {
    if (/^\s*\[/.test(text)) {
      try {
        if (Array.isArray(JSON.parse(text))) return text;
      } catch {
        // Lines, the first of which begins with a bracket.
      }
    }
    return JSON.stringify(text.split("\n").map((line) => line.replace(/\r$/, "")).filter((line) => line.trim() !== ""));
  }

  checked(text) {
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new Problem(`This is no JSON: ${error.message}`, this);
    }
    if (this.param.type === "object" && (value === null || typeof value !== "object" || Array.isArray(value))) {
      throw new Problem("A JSON object is written {\"name\": value}.", this);
    }
    return text;
  }

  complain(text, { focus = false, more = false } = {}) {
    const before = more ? this.problem.textContent : "";
    setText(this.problem, before && text ? `${before}; ${text}` : text);
    if (text) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
    if (focus) this.input.focus();
  }
}

function kindOf(type, schema, definitions) {
  if (Array.isArray(schema.enum) && schema.enum.length) return "choice";
  if (type === "boolean") return "boolean";
  if (type === "integer" || type === "number") return "number";
  if (type === "string") return "text";
  if (type === "array") {
    const items = resolved(schema.items ?? {}, definitions);
    return items.type === "string" && !items.enum ? "lines" : "json";
  }
  return type === "object" ? "json" : "any";
}
