// Search, an item's related items, and what sells.

import { address, ask, go, replace } from "./asking.js";
import { together } from "./charts.js";
import { badge, count, decimal, empty, fill, h, moment, named, problem, table } from "./dom.js";
import { listen, watch } from "./live.js";
import { buyButton } from "./visitor.js";

const TYPING_MS = 150, MARKED_MS = 6_000, RAW = 25, WIDE = 190, NARROW = 80;
export const link = (item) => address("items", { item: item.item_id });

export const publishing = (kind) => {
  const command = { bought: "publish purchases FILE", watched: "publish watches FILE", "watched-bought": "publish watches FILE" }[kind.kind] ?? `publish events ${kind.kind} FILE`;
  return `alsobought ${command}`;
};

function results(found, parameters, kind) {
  if (!found.items.length) {
    return parameters.q ? empty(`No item has “${parameters.q}” in its title or at the beginning of its id.`)
      : [empty("There are no items yet. The catalogue comes with", "alsobought publish items FILE"), empty("and events with", publishing(kind))];
  }
  return [h("p", { class: "note" }, parameters.q ? "Most bought first." : "The most bought; type to find others."),
    h("ul", { class: "results" }, found.items.map((item) => h("li", {},
      h("a", { href: address("items", { q: parameters.q, item: item.item_id }), "aria-current": item.item_id === parameters.item ? "true" : undefined },
        h("span", { class: "title" }, item.title ?? item.item_id),
        h("span", { class: "sub" }, [item.title ? item.item_id : null, item.category, `${count(item.buyers)} customers`].filter(Boolean).join(" · ")))))),
    found.more ? h("p", { class: "note" }, "There are more: type more of the title.") : null];
}

// What is new in a list against the one before it, by item: a word for it.
function changes(before, item) {
  if (!before || before.item_id !== item.item_id || before.as_of === null) return new Map();
  const counts = new Map(before.related.map((entry) => [entry.item_id, entry.together]));
  return new Map(item.related.flatMap((entry) => {
    const old = counts.get(entry.item_id);
    if (old === undefined) return [[entry.item_id, "new"]];
    return old === entry.together ? [] : [[entry.item_id, `${entry.together > old ? "+" : "−"}${Math.abs(entry.together - old)}`]];
  }));
}

function list(item, kind, marks, width) {
  const most = Math.max(1, ...item.related.flatMap((entry) => [entry.together, entry.expected]));
  return table([
    ["#", (_, i) => i + 1, { number: true }],
    [kind.word === null ? "Then bought" : "Goes with", (entry) => [named(entry, link(entry)), marks.has(entry.item_id) ? badge(marks.get(entry.item_id), "fresh") : null]],
    ["Score", (entry) => decimal(entry.score), { number: true, help: "What the list is ordered by" }],
    ["Together", (entry) => count(entry.together), { number: true, help: kind.word === null ? "Customers who watched the one and then bought the other" : "Customers who have both" }],
    ["As a bar", (entry) => together(entry.together, entry.expected, most, width), { hidden: true }],
    ["Expected", (entry) => decimal(entry.expected, 1), { number: true, help: "How many would have both if buying were independent, heavy buyers considered; the mark on the bar" }],
    ["Recent", (entry) => decimal(entry.recent, 1), { number: true, help: "Customers who have both, each counting less with its age (30 days)" }],
  ], item.related, { caption: "The bar: customers who have both. The mark: how many were expected by chance. What is beyond the mark makes an item related; popular alone does not." });
}

function rawCounts(answer) {
  return table([
    ["#", (_, i) => i + 1, { number: true }],
    ["Most often together", (entry) => named(entry, link(entry))],
    ["Together", (entry) => count(entry.together), { number: true }],
  ], answer.items, { caption: "Ordered by raw counts: what everybody buys comes first, whatever it is bought with." });
}

export function items(main) {
  let typing = 0, now = {}, kind = null, status = null, before = null, raw = false, marks = new Map(), marked = 0;
  const input = h("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: () => {
    clearTimeout(typing);
    typing = setTimeout(() => replace("items", { ...now, q: input.value }), TYPING_MS);
  } });
  const found = h("div", { "aria-live": "polite" }), head = h("div", {}), lists = h("div", { class: "lists" });
  const beside = h("div", { class: "beside" }), listed = h("div", {});
  const toggle = h("button", { type: "button", class: "plain", "aria-pressed": "false", onclick: () => replace("items", { ...now, raw: raw ? undefined : 1 }) }, "Raw counts beside it");
  const actions = h("p", { class: "row actions", hidden: true }, toggle);
  lists.append(listed, beside);
  main.className = "side";
  main.append(h("section", {}, h("form", { role: "search", onsubmit: (event) => event.preventDefault() },
    h("label", { class: "field" }, "Find an item by its title or id", input)), found), h("section", {}, head, actions, lists));

  function about(item) {
    const facts = [item.item_id, item.category, item.brand, item.price === null ? null : decimal(item.price)].filter(Boolean).join(" · ");
    return [h("h1", {}, item.title ?? item.item_id),
      h("p", { class: "note" }, facts, item.available === false ? " · not available" : null, ` · ${count(item.buyers)} customers`,
        item.as_of ? ` · list as of ${moment(item.as_of)}` : null)];
  }

  async function showItem() {
    const asked = now.item, answer = await ask("related", { id: asked, kind: kind.kind, k: 25 }).catch((error) => ({ error }));
    if (now.item !== asked || !head.isConnected) return;
    actions.hidden = Boolean(answer.error);
    if (answer.error) {
      fill(head, Promise.reject(answer.error), () => []);
      return listed.replaceChildren();
    }
    const differs = changes(before, answer);
    if (differs.size) { marks = differs; marked = Date.now(); }
    if (Date.now() - marked > MARKED_MS || before?.item_id !== answer.item_id) marks = new Map();
    before = answer;
    fill(head, Promise.resolve(answer), about);
    fill(listed, Promise.resolve({ answer, raw, marks: [...marks] }), () => (answer.related.length ? list(answer, kind, marks, raw ? NARROW : WIDE)
      : empty("Nothing goes with it yet: too few customers have it together with others. More events come with", publishing(kind))));
    if (marks.size) setTimeout(() => { if (before === answer) { marks = new Map(); showItem(); } }, MARKED_MS);
  }

  function showRaw() {
    toggle.setAttribute("aria-pressed", String(raw));
    lists.classList.toggle("two-lists", raw);
    beside.hidden = !raw;
    if (raw) fill(beside, ask("counts", { id: now.item, kind: kind.kind, k: RAW }), rawCounts);
  }

  function show() {
    if (document.activeElement !== input) input.value = now.q ?? "";
    fill(found, ask("search", { q: now.q, kind: kind.kind, k: 15 }).then((answer) => ({ ...answer, item: now.item })),
      (answer) => results(answer, now, kind));
    watch(kind.kind, now.item ? [now.item] : []);
    if (!now.item) {
      actions.hidden = true;
      beside.hidden = true;
      listed.replaceChildren();
      return fill(head, Promise.resolve(null), () => [h("h1", {}, "What goes with what"), empty("Choose an item to see what customers have together with it.")]);
    }
    if (status.can_buy && kind.kind === "bought" && actions.children.length === 1) actions.prepend(buyButton(() => now.item));
    showItem();
    showRaw();
  }

  const stop = listen({ item(changed) {
    if (changed.item_id !== now.item || changed.kind !== kind?.kind) return;
    showItem();
    if (raw) showRaw();
  } });
  return { show(parameters, of, reported) {
    now = parameters;
    raw = Boolean(now.raw);
    kind = of;
    status = reported;
    show();
  }, close: stop };
}

function sellers(answer, kind) {
  if (!answer.items.length) {
    return empty(answer.trending ? "Nothing rises: that takes some weeks of events." : "Nothing was sold in the newest two weeks. Events come with", answer.trending ? null : publishing(kind));
  }
  return table([
    ["#", (_, i) => i + 1, { number: true }],
    ["Item", (item) => named(item, link(item))],
    ["14 days", (item) => count(item.purchases), { number: true, help: "How often in the newest 14 days of event time" }],
    ...(answer.trending ? [["Rise", (item) => decimal(item.rise, 1), { number: true, help: "The newest 7 days against the 21 before them, in standard deviations" }]] : []),
  ], answer.items, { caption: `As of ${moment(answer.as_of)}, event time` });
}

export function bestsellers(main) {
  const choice = h("select", { onchange: () => go("bestsellers", { category: choice.value }) });
  const best = h("div", {}), rising = h("div", {});
  let known = null;
  main.className = "two";
  main.append(h("section", { class: "wide" }, h("label", { class: "field" }, "Category", choice)),
    h("section", {}, h("h1", {}, "Bestsellers"), best), h("section", {}, h("h1", {}, "Rising"), rising));
  return { async show(parameters, kind) {
    const question = { kind: kind.kind, category: parameters.category, k: 25 };
    fill(best, ask("bestsellers", question), (answer) => sellers(answer, kind));
    fill(rising, ask("bestsellers", { ...question, trending: 1 }), (answer) => sellers(answer, kind));
    const { categories } = await ask("categories", { kind: kind.kind }).catch(() => ({ categories: [] }));
    if (known !== categories.join("\n")) {
      known = categories.join("\n");
      choice.replaceChildren(h("option", { value: "" }, "all"), ...categories.map((name) => h("option", { value: name }, name)));
    }
    choice.value = parameters.category ?? "";
  } };
}
