// How good it is: hit rates over time, experiments, and what was learnt.

import { ask } from "./asking.js";
import { bar, colour, interval, lineChart } from "./charts.js";
import { count, decimal, empty, fill, h, percent, table } from "./dom.js";
import { publishing } from "./items.js";

const FEW = 20, ANY = "all";
const SPANS = [[14, 1], [90, 7], [Infinity, 28]];  // up to so many days a point is of so many
const WORDS = {
  ours: "learnt here", bestsellers: "two weeks’ bestsellers", raw: "raw co-counts", flawed: "flawed measure of the history",
  corrected: "corrected measure alone", all: "ours, where bought before counts too",
};
const FEATURES = {
  day3: "sold in 3 days", day14: "sold in 14 days", buyers: "customers who have it", age: "age of the item", trend: "rise of this week",
  recent: "goes with the history, lately", lift: "goes with the history, over expected", lift_after: "bought after the history, over expected",
  recent_last: "goes with the last items, lately", cosine: "overlap of customers, lately", together: "goes with the history, ever",
  category: "taste: category", brand: "taste: brand", raw: "raw co-counts", corrected: "corrected measure", owned: "the customer has it",
  days: "days it was bought on", often: "how often, lately", since: "time since the last", gap: "time over the usual gap",
  due: "near its usual gap", repeat: "share who buy it again", rate: "rate of buying it again",
};

// Rates of `days` by algorithm; where there are many days a point is of several, the day and those before it.
function curves(days, algorithms) {
  const names = [...new Set(days.map((row) => row.day))].sort();
  const span = SPANS.find(([most]) => names.length <= most)[1], at = new Map(names.map((day, i) => [day, i]));
  const series = {}, cases = Array(names.length).fill(0);
  for (const algorithm of algorithms) {
    const answer = names.map(() => [0, 0]);
    for (const row of days) if (row.algorithm === algorithm) answer[at.get(row.day)] = [row.cases, row.hits];
    series[algorithm] = names.map((_, i) => {
      const [n, hits] = answer.slice(Math.max(0, i + 1 - span), i + 1).reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0]);
      cases[i] = Math.max(cases[i], n);
      return n && (span === 1 || n >= FEW) ? hits / n : null;
    });
  }
  return { names, series, cases, span };
}

function rates(answer, kind, width) {
  const algorithms = answer.totals.map((row) => row.algorithm).filter((name) => name !== ANY);
  if (!answer.totals.length) {
    return empty("No customer has come back yet since recommendations are made: each who does is a test. Events come with", publishing(kind));
  }
  const { names, series, cases, span } = curves(answer.days, algorithms);
  const most = Math.max(...answer.totals.filter((row) => row.algorithm !== ANY).map((row) => row.high));
  const rows = [...answer.totals].sort((a, b) => (a.algorithm === ANY) - (b.algorithm === ANY) || b.rate - a.rate);
  return [algorithms.length && names.length > 1 ? [
    h("p", { class: "note" }, span > 1 ? `Each point is of the ${span} days up to it.` : "Each point is a day of event time."),
    lineChart(names, series, cases, `Hit rates per day: ${rows.map((row) => `${row.algorithm} ${percent(row.rate)}`).join(", ")} overall`, width)] : null,
  table([
    ["Algorithm", (row) => [h("span", { class: `key ${colour(row.algorithm)}` }), row.algorithm, h("span", { class: "sub" }, WORDS[row.algorithm] ?? null)]],
    ["Cases", (row) => count(row.cases), { number: true, help: "Customers who came back" }],
    ["Hits", (row) => count(row.hits), { number: true, help: "Of them, who bought at least one of the six" }],
    ["Rate", (row) => percent(row.rate), { number: true }],
    ["95 % confidence", (row) => `${percent(row.low)} – ${percent(row.high)}`, { number: true }],
    ["As a bar", (row) => (row.algorithm === ANY ? null : interval(row.rate, row.low, row.high, most)), { hidden: true }],
  ], rows, { caption: "All days" })];
}

function experiments(answer) {
  if (!answer.variants.length) {
    return empty("No experiment has cases. Variants, each a share of the customers and an algorithm, are named to the workers with", "ALSOBOUGHT_VARIANTS=control=bestsellers:20,ours:80");
  }
  const most = Math.max(...answer.variants.map((row) => row.high));
  return [table([
    ["Variant", (row) => [row.variant, row.variant === answer.control ? h("span", { class: "sub" }, "control") : null]],
    ["Cases", (row) => count(row.cases), { number: true }],
    ["Hits", (row) => count(row.hits), { number: true }],
    ["Rate", (row) => percent(row.rate), { number: true }],
    ["95 % confidence", (row) => `${percent(row.low)} – ${percent(row.high)}`, { number: true }],
    ["As a bar", (row) => interval(row.rate, row.low, row.high, most), { hidden: true }],
  ], answer.variants), answer.variants.map((row) => (row.line ? h("p", {}, h("strong", {}, row.significant ? "✓ " : "· "), row.line, ".") : null))];
}

function learner(answer) {
  const rankers = Object.entries(answer.rankers);
  if (!rankers.length) return empty("Nothing is learnt yet: every customer who comes back is a training example.");
  const lead = answer.curve.reduce((sum, day) => sum + (day.ours - day.bestsellers) * day.cases, 0) / (answer.curve.reduce((sum, day) => sum + day.cases, 0) || 1);
  return [answer.curve.length ? h("p", {}, `Over all days it is ${lead < 0 ? "" : "+"}${(lead * 100).toFixed(1)} points against bestsellers.`) : null,
    h("div", { class: "three" }, rankers.map(([name, ranker]) => {
      const rows = Object.entries(ranker.weights).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
      const most = Math.max(...rows.map(([, weight]) => Math.abs(weight)));
      return h("div", {}, h("h2", {}, name === "new" ? "For items new to the customer" : name === "all" ? "For all items" : name),
        table([["Feature", ([feature]) => h("span", { title: feature }, FEATURES[feature] ?? feature)],
          ["As a bar", ([, weight]) => bar(weight, most, 150), { hidden: true }],
          ["Weight", ([, weight]) => decimal(weight), { number: true }],
        ], rows, { caption: `${count(Math.round(ranker.cases))} training steps`, name: "bars" }));
    }))];
}

export function quality(main) {
  const places = [h("div", {}), h("div", {}), h("div", {})];
  let again = () => {};
  main.className = "one";
  main.append(
    h("section", {}, h("h1", {}, "Was it in the six?"), h("p", { class: "note" }, "When a customer comes back and buys something new, it is checked whether at least one of it was among the six items that each algorithm would have shown just before. Nothing of it is known to the algorithm at that time."), places[0]),
    h("section", {}, h("h1", {}, "Experiments"), h("p", { class: "note" }, "Customers are divided into variants, each shown another algorithm’s items; a hit is one of the six that were shown."), places[1]),
    h("section", {}, h("h1", {}, "What was learnt"), h("p", { class: "note" }, "Weights of the ranking: what one standard deviation of a feature adds to an item’s score. They are learnt from every customer who comes back, and averaged over partitions."), places[2]));
  const width = () => Math.max(320, Math.floor(places[0].clientWidth));
  return { show(_, kind) {
    again = () => fill(places[0], ask("quality", { kind: kind.kind }).then((answer) => ({ ...answer, width: width() })), (answer) => rates(answer, kind, answer.width));
    again();
    fill(places[1], ask("experiments", { kind: kind.kind }), experiments);
    fill(places[2], ask("learner", { kind: kind.kind }), learner);
  }, resize: () => again() };
}
