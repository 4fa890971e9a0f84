// Search, an item's related items, and what sells.

import { address, ask, go, replace } from "./asking.js";
import { count, decimal, empty, fill, h, moment, named, table } from "./dom.js";

const TYPING_MS = 150;
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

function related(item, kind) {
  const about = [item.item_id, item.category, item.brand, item.price === null ? null : decimal(item.price)].filter(Boolean).join(" · ");
  return [h("h1", {}, item.title ?? item.item_id),
    h("p", { class: "note" }, about, item.available === false ? " · not available" : null, ` · ${count(item.buyers)} customers`,
      item.as_of ? ` · list as of ${moment(item.as_of)}` : null),
    item.related.length ? table([
      ["#", (_, i) => i + 1, { number: true }],
      [kind.word === null ? "Then bought" : "Goes with", (entry) => named(entry, link(entry))],
      ["Score", (entry) => decimal(entry.score), { number: true, help: "What the list is ordered by" }],
      ["Together", (entry) => count(entry.together), { number: true, help: kind.word === null ? "Customers who watched the one and then bought the other" : "Customers who have both" }],
      ["Expected", (entry) => decimal(entry.expected, 1), { number: true, help: "How many would have both if buying were independent, heavy buyers considered" }],
      ["Recent", (entry) => decimal(entry.recent, 1), { number: true, help: "Customers who have both, each counting less with its age (30 days)" }],
    ], item.related, { caption: "Together beyond what is expected makes an item related; popular alone does not." })
      : empty("Nothing goes with it yet: too few customers have it together with others. More events come with", publishing(kind))];
}

export function items(main) {
  let typing = 0, now = {};
  const input = h("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: () => {
    clearTimeout(typing);
    typing = setTimeout(() => replace("items", { ...now, q: input.value }), TYPING_MS);
  } });
  const found = h("div", { "aria-live": "polite" }), detail = h("section", {});
  main.className = "side";
  main.append(h("section", {}, h("form", { role: "search", onsubmit: (event) => event.preventDefault() },
    h("label", { class: "field" }, "Find an item by its title or id", input)), found), detail);
  return { show(parameters, kind) {
    now = parameters;
    if (document.activeElement !== input) input.value = parameters.q ?? "";
    fill(found, ask("search", { q: parameters.q, kind: kind.kind, k: 15 }).then((answer) => ({ ...answer, item: parameters.item })),
      (answer) => results(answer, parameters, kind));
    if (parameters.item) fill(detail, ask("related", { id: parameters.item, kind: kind.kind, k: 25 }), (answer) => related(answer, kind));
    else fill(detail, Promise.resolve(null), () => [h("h1", {}, "What goes with what"), empty("Choose an item to see what customers have together with it.")]);
  } };
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
