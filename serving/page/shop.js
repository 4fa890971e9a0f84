// The shop window: what sells, each with what goes with it, and the pulse of the stream beside it.

import { address, ask } from "./asking.js";
import { colour, sparkline } from "./charts.js";
import { count, empty, h, milliseconds, percent } from "./dom.js";
import { link, publishing } from "./items.js";
import { listen, samples, story, watch } from "./live.js";

const CARDS = 12, FIRST = 3, NEWEST = 8;

const title = (item) => item.title ?? item.item_id;
const rate = (n) => (n === null || n === undefined ? "–" : n >= 10 ? count(Math.round(n)) : n.toFixed(1));

function firsts(related) {
  if (!related.length) return h("p", { class: "sub" }, "Nothing goes with it yet.");
  return h("ol", { class: "firsts" }, related.slice(0, FIRST).map((entry) => h("li", {}, h("a", { href: link(entry) }, title(entry)))));
}

// A card stays the same element while its item is shown, whatever its place: else it would never be seen to light up.
function card(item) {
  const goes = h("div", { class: "goes" }), rank = h("span", { class: "rank" }), about = h("p", { class: "sub" });
  const name = h("a", { class: "title", href: link(item) });
  const node = h("article", { class: "card" }, h("h2", {}, rank, name), about, goes);
  return { item, node, goes, place(at, now) {
    const much = now.purchases === undefined ? `${count(now.buyers)} customers` : `${count(now.purchases)} sold in 14 days`;
    rank.textContent = at;
    name.textContent = title(now);
    about.textContent = [now.category, much].filter(Boolean).join(" · ");
  } };
}

function flash(node) {
  node.classList.remove("changed");
  void node.offsetWidth;  // else the animation would not begin again
  node.classList.add("changed");
}

function tile(name, value, values, help, format) {
  return h("div", { class: "tile", title: help }, h("div", { class: "head" }, h("span", {}, name), h("strong", {}, value)),
    sparkline(values, `${name}: now ${value}, at most ${format(Math.max(0, ...values.filter((v) => v !== null)))} in the last minutes`));
}

function pulse(kind) {
  const all = samples(kind.kind), now = all.at(-1);
  if (!now) return empty("Waiting for the first pulse ...");
  const of = (name) => all.map((sample) => sample[name] ?? null);
  const rates = Object.entries(now.hit_rates ?? {}).sort((a, b) => b[1] - a[1]);
  return [
    kind.word === null ? null : tile(`${kind.events} counted a second`, rate(now.counted_per_s), of("counted_per_s"), "Events whose co-occurrence is counted", rate),
    tile("Lists changed a second", rate(now.lists_per_s), of("lists_per_s"), "Related-item lists published anew", rate),
    tile("Time to the changed list, median", milliseconds(now.p50_ms), of("p50_ms"), "From an event in Kafka to its changed lists in Kafka, slowest partition", milliseconds),
    tile("The slowest of a hundred", milliseconds(now.p99_ms), of("p99_ms"), "The same, 99th percentile", milliseconds),
    kind.word === null ? null : h("div", { class: "tile" }, h("div", { class: "head" }, h("span", {}, "Was it in the six?"), h("a", { href: address("quality") }, "more")),
      rates.length ? [sparkline(rates.map(([name]) => all.map((sample) => sample.hit_rates?.[name] ?? null)), `Hit rates: ${rates.map(([name, value]) => `${name} ${percent(value)}`).join(", ")}`, rates.map(([name]) => colour(name))),
        h("ul", { class: "rates" }, rates.map(([name, value]) => h("li", {}, h("span", { class: `key ${colour(name)}` }), name, h("span", { class: "number" }, percent(value)))))]
        : h("p", { class: "sub" }, "Too few customers have come back yet; each who does is a test.")),
  ].filter(Boolean);
}

export function shop(main) {
  const window_ = h("div", { class: "cards" }), beat = h("div", { class: "pulse" }), newest = h("ul", { class: "newest" });
  const about = h("p", { class: "note" });
  let cards = [], now = null, sellers = -1, catalogue = -1;
  const steps = h("ol", { class: "steps", "aria-live": "polite" }), told = h("section", { class: "wide", hidden: true }, h("h2", {}, "What the demo does"), steps);
  main.className = "window";
  main.append(told, h("section", {}, h("h1", {}, "Shop window"), about, window_),
    h("div", { class: "aside" }, h("section", {}, h("h2", {}, "Pulse"), beat),
      h("section", {}, h("h2", {}, "Just changed"), h("p", { class: "note" }, "Items whose lists have changed in the last seconds, with the first of each list."), newest)));

  function showStory() {
    told.hidden = !story.length;
    steps.replaceChildren(...story.map((step, i) => h("li", { "aria-current": i === story.length - 1 ? "step" : undefined }, h("a", { href: `#${step.link}` }, step.title))));
  }

  async function draw(of, flashes = false) {
    const answer = await ask("related", { id: of.item.item_id, kind: now.kind, k: FIRST }).catch(() => ({ related: [] }));
    of.goes.replaceChildren(firsts(answer.related));
    if (flashes) flash(of.node);
  }

  // With `anew` the lists are drawn again, too: the names of what they hold may have changed.
  async function load(anew = false) {
    const kind = now;
    let answer = await ask("bestsellers", { kind: kind.word === null ? undefined : kind.kind, k: CARDS }).catch(() => null);
    const sells = Boolean(answer?.items.length);
    if (!sells) answer = await ask("search", { kind: kind.kind, k: CARDS }).catch(() => null);  // what has lists already
    if (!answer || kind !== now || !window_.isConnected) return;
    const same = new Map(cards.map((of) => [of.item.item_id, of]));
    cards = answer.items.map((item, i) => {
      const of = same.get(item.item_id) ?? card(item);
      of.place(i + 1, item);
      if (anew || !same.has(item.item_id)) draw(of);
      return of;
    });
    about.textContent = cards.length ? `What ${sells ? "sells in the newest two weeks" : "most customers have"}, each with the first of what goes with it. A card lights up when its list changes.` : "";
    const nodes = cards.length ? cards.map((of) => of.node) : [empty("Nothing has been sold in the newest two weeks. Events come with", publishing(kind))];
    const stays = nodes.length === window_.children.length && nodes.every((node, i) => node === window_.children[i]);
    if (!stays) window_.replaceChildren(...nodes);
    watch(kind.kind, cards.map((of) => of.item.item_id));
  }

  function show(kind) {
    if (kind.kind !== now?.kind) {
      now = kind;
      cards = [];
      newest.replaceChildren();
      watch(kind.kind);
      load();
    }
    beat.replaceChildren(...[pulse(kind)].flat());
  }

  const stop = listen({
    history: () => now && beat.replaceChildren(...[pulse(now)].flat()),
    pulse(sample) {
      if (!now) return;
      beat.replaceChildren(...[pulse(now)].flat());
      const of = sample.kinds.find(({ kind }) => kind === now.kind);
      if (of && (of.sellers !== sellers || of.catalogue !== catalogue)) {
        const anew = of.catalogue !== catalogue;
        [sellers, catalogue] = [of.sellers, of.catalogue];
        load(anew);
      }
      const changed = sample.changed?.[now.kind] ?? [];
      for (const node of newest.querySelectorAll(".none")) node.remove();
      newest.prepend(...changed.map((item) => h("li", { class: "changed" }, h("a", { class: "title", href: link(item) }, title(item)),
        h("span", { class: "sub" }, item.related.length ? `goes with ${item.related.map(title).join(", ")}` : "goes with nothing any more"))));
      while (newest.children.length > NEWEST) newest.lastChild.remove();
      if (!newest.children.length) newest.append(h("li", { class: "none sub" }, "None in the last seconds."));
    },
    story: showStory,
    item(changed) {
      const of = cards.find(({ item }) => item.item_id === changed.item_id);
      if (of && changed.kind === now.kind) draw(of, true);
    },
  });
  showStory();
  return { show: (_, kind) => show(kind), close: stop };
}
