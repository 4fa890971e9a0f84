// Elements and words. Text becomes text nodes, never markup: titles and ids are whatever a shop's users typed.

const SVG = "http://www.w3.org/2000/svg";

function make(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const h = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

const whole = new Intl.NumberFormat("en");
export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));
export const decimal = (n, digits = 2) => (n === null || n === undefined ? "–" : n.toFixed(digits));
export const percent = (rate, digits = 1) => `${(rate * 100).toFixed(digits)} %`;
export const moment = (ms) => (ms ? new Date(ms).toISOString().slice(0, 16).replace("T", " ") + " UTC" : "–");
export const milliseconds = (ms) => (ms === null ? "–" : ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

// Columns are [title, cell of a row, {number, help, hidden}]; a hidden title is read aloud only.
export function table(columns, rows, { caption, name } = {}) {
  const cls = (options) => (options?.number ? "number" : undefined);
  return h("div", { class: "scroll", tabindex: 0 }, h("table", { class: name },
    caption ? h("caption", {}, caption) : null,
    h("thead", {}, h("tr", {}, columns.map(([title, , options]) =>
      h("th", { scope: "col", class: cls(options), title: options?.help }, options?.hidden ? h("span", { class: "aloud" }, title) : title)))),
    h("tbody", {}, rows.map((row, i) =>
      h("tr", {}, columns.map(([, cell, options]) => h("td", { class: cls(options) }, cell(row, i))))))));
}

export const badge = (text, name = text) => h("span", { class: `badge ${name}` }, text);

export function named(item, href) {
  const title = item.title ?? item.item_id;
  const about = [item.title ? item.item_id : null, item.category, item.brand].filter(Boolean).join(" · ");
  return [h("a", { class: "title", href }, title), item.available === false ? [" ", badge("not available", "gone")] : null,
    about ? h("span", { class: "sub" }, about) : null];
}

export function empty(text, command) {
  return h("p", { class: "empty" }, text, command ? [" ", h("code", {}, command)] : null);
}

export function problem(error) {
  return h("p", { class: "problem", role: "alert" }, h("strong", {}, error.what ?? String(error)),
    error.where ? ` (${error.where})` : null, error.what_to_do ? `: ${error.what_to_do}.` : null);
}

// Puts what `render` makes of an answer into a place, if the answer is another than before.
// Of several questions for a place only the last one's answer is shown.
const shown = new WeakMap(), asked = new WeakMap();
export async function fill(place, question, render) {
  asked.set(place, question);
  let answer, error;
  try { answer = await question; } catch (thrown) { error = thrown; }
  if (!place.isConnected || asked.get(place) !== question) return;
  const text = error ? `error ${error.what ?? error}` : JSON.stringify(answer);
  if (shown.get(place) === text) return;
  shown.set(place, text);
  place.replaceChildren(...[error ? problem(error) : render(answer)].flat(Infinity).filter(Boolean));
}
