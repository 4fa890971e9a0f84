// What a customer is offered, and why.

import { ask, go } from "./asking.js";
import { badge, count, decimal, empty, fill, h, moment, named, table } from "./dom.js";
import { link } from "./items.js";
import { listen, watch } from "./live.js";

const WORDS = { related: "related", bestseller: "bestseller", "buy-again": "buy it again", predicted: "predicted" };
const WITHOUT = { bestseller: "Sells well just now", "buy-again": "Bought before, and likely due", predicted: "Bought next after such a history" };

function why(item) {
  const reasons = item.because.filter((reason) => reason.item_id !== item.item_id);
  if (reasons.length) {
    return ["Because of ", reasons.map((reason, i) => [i ? ", " : "", h("a", { href: link(reason) }, reason.title ?? reason.item_id)])];
  }
  return WITHOUT[item.source] ?? null;
}

function offers(answer) {
  if (!answer.items.length) return empty("Nothing.");
  return [h("ol", { class: "offers" }, answer.items.map((item) => h("li", {},
    h("div", { class: "head" }, h("span", {}, named(item, link(item))),
      h("span", { title: `score ${decimal(item.score)}` }, badge(WORDS[item.source] ?? item.source, item.source))),
    h("p", { class: "because" }, why(item)))))];
}

function history(answer) {
  return table([
    ["Item", (item) => named(item, link(item))],
    ["Times", (item) => count(item.days), { number: true, help: "The number of days on which it was bought" }],
    ["Last", (item) => moment(item.last_ms).slice(0, 10), { number: true }],
  ], answer.items, { caption: answer.distinct > answer.items.length ? `The newest ${answer.items.length} of ${count(answer.distinct)} items` : `${count(answer.distinct)} items` });
}

export function customers(main) {
  const input = h("input", { autocomplete: "off", spellcheck: "false", maxlength: 256 });
  const profile = h("select", { onchange: () => go("customers", { customer: input.value, profile: profile.value }) });
  const whose = h("label", { class: "field", hidden: true }, "Profile of the account", profile);
  const shelves = [["Offered now", "What is published for the customer: new items and due ones, as a shop shows them."],
    ["New to the customer", "Computed now, only what the customer does not have."],
    ["Buy it again", "Computed now, from what the customer has and when it is due."]].map(([title, note]) => {
    const place = h("div", { "aria-live": "polite" });
    return { place, section: h("section", {}, h("h2", {}, title), h("p", { class: "note" }, note), place) };
  });
  const past = h("div", { "aria-live": "polite" });
  main.className = "side";
  main.append(h("section", { class: "wide" }, h("h1", {}, "A customer"), h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    go("customers", { customer: input.value.trim() });
  } }, h("label", { class: "field" }, "Customer’s id", input), whose, h("button", {}, "Show")),
  h("p", { class: "note about", "aria-live": "polite" })),
  h("div", { class: "wide three" }, shelves.map((shelf) => shelf.section),
    h("section", {}, h("h2", {}, "History"), h("p", { class: "note" }, "What the customer has, the newest first."), past)));
  const about = main.querySelector(".about"), three = main.querySelector(".three");
  let now = null;
  const stop = listen({ customer: ({ customer_id }) => now && customer_id === now[0].customer && show(...now) });
  function show(parameters, kind) {
    now = [parameters, kind];
    watch(kind.kind, [], parameters.customer ? [parameters.customer] : []);
    const { customer, profile: of } = parameters;
    three.hidden = !customer;
    if (document.activeElement !== input) input.value = customer ?? "";
    if (!customer) {
      whose.hidden = true;
      about.textContent = kind.recommendations ? `Recommendations are published for ${kind.recommendations.toLocaleString("en")} customers and profiles.`
        : "No recommendations are published yet: they are made when a customer's events come in.";
      return;
    }
    const question = { id: customer, kind: kind.kind, profile: of, k: 8 };
    const published = ask("recommendations", question);
    published.then((answer) => {
      about.textContent = `As of ${moment(answer.as_of)}, event time${answer.variant ? `, in variant ${answer.variant}` : ""}.`;
      whose.hidden = !answer.profiles.length;
      profile.replaceChildren(h("option", { value: "" }, "everybody"), ...answer.profiles.map((name) => h("option", { value: name }, name)));
      profile.value = of ?? "";
    }, () => { about.textContent = ""; });
    fill(past, ask("history", { id: customer, kind: kind.kind, k: 12 }), history);
    fill(shelves[0].place, published.then(({ items }) => ({ items })), offers);
    fill(shelves[1].place, ask("recommend", { ...question, shelf: "new" }).then(({ items }) => ({ items })), offers);
    fill(shelves[2].place, ask("buy-again", question).then(({ items }) => ({ items })), offers);
  }
  return { show, close: stop };
}
