// The requests, newest first: each with its response, and how to repeat it.

import { ask } from "./api.js";
import { codeBox, h, place, setText, unique } from "./dom.js";
import { bytes, clock, duration, plural } from "./format.js";
import { factList } from "./runs.js";

const PAGE = 100;

class RequestRow {
  constructor(request, context) {
    this.context = context;
    this.request = request;
    const details = unique("request");
    const tone = request.status === null || request.status >= 500 ? "bad" : request.status >= 400 ? "warn" : "good";
    this.body = h("div", { class: "details", id: details, hidden: true });
    this.toggle = h("button", {
      type: "button", class: "toggle", "aria-expanded": "false", "aria-controls": details,
      onclick: () => this.open(this.body.hidden),
    },
    h("span", { class: "badge", "data-tone": tone }, request.status ?? "no response"),
    h("span", { class: "what" },
      h("span", { class: "clip" }, h("strong", {}, request.method), " ", h("code", {}, request.path + (request.query ? `?${request.query}` : ""))),
      request.fault && h("span", { class: "fault clip" }, `Fault ${request.fault}`)));
    this.element = h("li", { class: "request" },
      h("div", { class: "line" }, this.toggle,
        h("span", { class: "times" }, [clock(request.at), duration(request.seconds)].filter(Boolean).join(" · "))), this.body);
  }

  async open(wanted) {
    this.body.hidden = !wanted;
    this.toggle.setAttribute("aria-expanded", String(wanted));
    if (!wanted) return;
    try {
      const request = await ask("GET", `requests/${this.request.number}`);
      this.body.replaceChildren(...this.details(request));
    } catch (error) {
      this.context.failed(error);
    }
  }

  details(request) {
    const facts = [["X-Request-Id", request.request_id, true]];
    if (request.fault) facts.push(["Fault", request.fault]);
    const { exchange } = request;
    const parts = [factList(facts), h("div", { class: "pair" }, codeBox("curl", request.curl), codeBox("Python", request.python))];
    parts.push(h("div", { class: "pair" },
      h("div", {}, headerTable("Request headers", request.headers), exchange && contentBox("Request body", exchange.request)),
      exchange
        ? h("div", {}, headerTable("Response headers", exchange.response_headers), contentBox("Response body", exchange.response))
        : h("p", { class: "muted" }, "The bodies of the last 1,000 completed requests are stored.")));
    return parts;
  }
}

function contentBox(title, content) {
  if (!content.size) return null;
  const size = bytes(content.size);
  if (content.text === null) return h("p", { class: "muted" }, `${title}: ${size}, not stored.`);
  return codeBox(title, content.text, { note: content.whole ? size : `the beginning of ${size}` });
}

function headerTable(title, headers) {
  const rows = Object.entries(headers);
  if (!rows.length) return null;
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": title },
    h("table", {}, h("caption", {}, title), h("tbody", {},
      ...rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, h("code", {}, value)))))));
}

export class RequestsView {
  constructor(section, context) {
    this.context = context;
    this.requests = [];
    this.rows = new Map();
    this.limit = PAGE;
    this.total = 0;
    this.only = h("select", { id: "requests-only", onchange: () => { this.limit = PAGE; this.render(); } },
      ...[["", "All"], ["fault", "With a fault"], ["error", "With an error"], ["start", "Starts"], ["status", "Polls of a run"], ["result", "Results"]]
        .map(([value, text]) => h("option", { value }, text)));
    this.summary = h("p", { class: "muted summary" });
    this.list = h("ol", { class: "list", "aria-label": "Requests, newest first" });
    this.more = h("button", { type: "button", class: "more", hidden: true, onclick: () => { this.limit += PAGE * 2; this.render(); } });
    this.empty = h("p", { class: "empty" });
    section.append(h("h2", { class: "offscreen" }, "Requests"),
      h("div", { class: "toolbar" }, h("label", { for: "requests-only" }, "Show"), this.only, this.summary), this.empty, this.list, this.more);
    this.render();
  }

  forget() {
    this.rows.clear();
    this.limit = PAGE;
  }

  update(requests, total) {
    this.requests = requests;
    this.total = total;
    this.render();
  }

  matches(request) {
    switch (this.only.value) {
      case "fault": return request.fault !== null;
      case "error": return request.status === null || request.status >= 400;
      case "start": return request.method === "POST" && request.path.endsWith("/run");
      case "status": return request.path.endsWith("/status");
      case "result": return request.path.startsWith("/results/");
      default: return true;
    }
  }

  render() {
    const found = this.requests.filter((request) => this.matches(request)).reverse();
    const shown = found.slice(0, this.limit);
    const numbers = new Set(shown.map((request) => request.number));
    for (const number of this.rows.keys()) if (!numbers.has(number)) this.rows.delete(number);
    place(this.list, shown.map((request) => {
      if (!this.rows.has(request.number)) this.rows.set(request.number, new RequestRow(request, this.context));
      return this.rows.get(request.number).element;
    }));
    this.more.hidden = found.length <= shown.length;
    setText(this.more, `Show more of ${plural(found.length - shown.length, "earlier request")}`);
    const kept = this.total > this.requests.length ? `, the last ${this.requests.length.toLocaleString("en")} are listed` : "";
    setText(this.summary, plural(this.total, "request") + kept);
    this.empty.hidden = shown.length > 0;
    setText(this.empty, this.requests.length ? "No request matches." : "No requests yet. The requests of programs are listed here; those of this page are not.");
  }
}
