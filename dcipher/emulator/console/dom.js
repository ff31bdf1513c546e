// Elements from values. Whatever comes from outside becomes text, never markup.

// Marks of direction, terminal codes and other invisible characters would let a text show
// something else than it is.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;

export function visible(text) {
  return String(text).replace(UNSEEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : visible(child));
  }
  return element;
}

export function setText(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

// The children of `parent`, in this order; those that stay are not touched, so that focus stays.
export function place(parent, children) {
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}

let serial = 0;
export function unique(prefix) {
  serial += 1;
  return `${prefix}-${serial}`;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not a secure context: a remote emulator by plain HTTP.
    const field = h("textarea", { class: "offscreen", "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

export function copyButton(text, what) {
  const button = h("button", { type: "button", class: "small quiet", "aria-label": `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copied(text)) ? "Copied" : "Select it yourself";
    setTimeout(() => (button.textContent = "Copy"), 1500);
    button.focus();
  });
  return button;
}

// A text in a box that can be scrolled with the keyboard, with a button that copies the text itself.
export function codeBox(title, text, { note = "" } = {}) {
  const id = unique("box");
  return h("div", { class: "box" },
    h("div", { class: "box-head" }, h("h3", { id }, title), note && h("span", { class: "muted" }, note), copyButton(text, title)),
    h("pre", { tabindex: "0", role: "group", "aria-labelledby": id }, h("code", {}, text)));
}
