// How far every partition is.

import { badge, count, empty, h, milliseconds, s, table } from "./dom.js";
import { listen, samples, watch } from "./live.js";

const WIDTH = 760, HEIGHT = 190, BOX = { width: 150, height: 46 };

const rate = (n) => (n === null || n === undefined ? "–" : n >= 10 ? count(Math.round(n)) : n.toFixed(1));
const sum = (tasks, of) => tasks.reduce((all, task) => all + (task[of] ?? 0), 0);
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

function box(x, y, title, sub) {
  return s("g", {}, s("rect", { class: "box", x, y, width: BOX.width, height: BOX.height, rx: 8 }),
    s("text", { class: "in", x: x + BOX.width / 2, y: y + 20, "text-anchor": "middle" }, title),
    s("text", { x: x + BOX.width / 2, y: y + 37, "text-anchor": "middle" }, sub));
}

function arrow(x1, y1, x2, y2, above, below) {
  const middle = (x1 + x2) / 2, height = (y1 + y2) / 2;
  return s("g", {}, s("line", { class: "flow", x1, y1, x2: x2 - 7, y2, "marker-end": "url(#head)" }),
    s("text", { class: "in", x: middle, y: height - 7, "text-anchor": "middle" }, above),
    below ? s("text", { x: middle, y: height + 17, "text-anchor": "middle" }, below) : null);
}

// Of a kind of events: from Kafka over workers and recommenders to what is published, with rates and lags.
function flow(kind, now, parts) {
  const { counted, served, workers, recommenders } = parts;
  const label = `${rate(now?.counted_per_s)} ${kind.events} a second are counted, ${count(sum(counted, "lag"))} wait; ${rate(now?.lists_per_s)} lists change a second; recommendations follow, ${count(sum(served, "unserved"))} events behind`;
  return h("div", { class: "scroll", tabindex: 0 }, s("svg", { class: "flow", width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    s("defs", {}, s("marker", { id: "head", viewBox: "0 0 10 10", refX: 8, refY: 5, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" }, s("path", { class: "head", d: "M0 0L10 5L0 10z" }))),
    box(0, 20, kind.events, "events in Kafka"), box(300, 20, plural(workers, "worker"), "count and list"), box(610, 20, "Related lists", `${count(kind.lists)} items`),
    box(300, 130, plural(recommenders, "recommender"), "learn and recommend"), box(610, 130, "Recommendations", `${count(kind.recommendations)} customers`),
    arrow(150, 43, 300, 43, `${rate(now?.counted_per_s)} /s`, `${count(sum(counted, "lag"))} wait`),
    arrow(450, 43, 610, 43, `${rate(now?.lists_per_s)} /s`, now && now.p50_ms !== null ? `after ${milliseconds(now.p50_ms)}` : null),
    arrow(150, 66, 300, 148, "", ""), s("text", { x: 100, y: 140, "text-anchor": "middle" }, `${count(sum(served, "unserved"))} wait`), s("text", { x: 100, y: 157, "text-anchor": "middle" }, "to be recommended from"),
    arrow(450, 153, 610, 153, "", null), s("line", { class: "flow", x1: 610, y1: 60, x2: 456, y2: 138, "marker-end": "url(#head)" })));
}

function summary(kind, now, parts, status) {
  const silent = status.tasks.filter((task) => task.silent).length + status.missing.length;
  const waiting = sum(parts.counted, "lag");
  return [silent ? `${plural(silent, "partition")} without a process that reports. ` : null,
    `${plural(parts.counted.length, "partition")} of ${kind.events} ${parts.counted.length === 1 ? "is" : "are"} counted by ${plural(parts.workers, "worker")} and recommended from by ${plural(parts.recommenders, "recommender")}. `,
    waiting > 1000 ? `${count(waiting)} events wait to be counted. ` : "All that is published is counted. ",
    !now?.lists_per_s ? "Nothing changes just now" : now.counted_per_s ? `${rate(now.counted_per_s)} events a second change ${rate(now.lists_per_s)} lists`
      : `${rate(now.lists_per_s)} lists a second still change`,
    now?.p50_ms !== null && now?.lists_per_s ? `, half of them within ${milliseconds(now.p50_ms)} of the event, 99 of 100 within ${milliseconds(now.p99_ms)}.` : "."];
}

export function system(main) {
  const place = h("section", {}), published = h("section", {}), words = h("p", {}), picture = h("div", {});
  let last = null;
  main.className = "one";
  main.append(h("section", {}, h("h1", {}, "How it flows"), words, picture), place, published);

  function draw() {
    if (!last) return;
    const [kind, status] = last, of = (prefix) => status.tasks.filter((task) => task.task.replace(/-\d+$/, "") === prefix);
    const parts = { counted: of(kind.events), served: of(`recommender/${kind.events}`) };
    parts.workers = new Set(parts.counted.map((task) => task.worker)).size;
    parts.recommenders = new Set(parts.served.map((task) => task.worker)).size;
    const now = samples(kind.kind).at(-1);
    words.replaceChildren(...summary(kind, now, parts, status).filter(Boolean));
    picture.replaceChildren(status.tasks.length ? flow(kind, now, parts) : "");
  }

  const stop = listen({ pulse: draw, history: draw });
  return { close: stop, show(_, kind, status) {
    last = [kind, status];
    watch(kind.kind);
    draw();
    place.replaceChildren(...[h("h1", {}, "Partitions"),
      h("p", { class: "note" }, "Each is counted by one worker, and those of events are recommended from by one recommender; both report every second. The same and more for Prometheus: ", h("code", {}, "/metrics"), "."),
      status.tasks.length ? table([
        ["Partition", (task) => [task.task, task.silent ? [" ", badge("silent", "silent")] : null]],
        ["Behind", (task) => count(task.lag), { number: true, help: "Records in Kafka that are not counted yet" }],
        ["Lists behind", (task) => count(task.unlisted), { number: true, help: "Counted records whose lists may still change" }],
        ["Not recommended to", (task) => count(task.unserved), { number: true, help: "Events whose customers' recommendations do not follow from them yet" }],
        ["Counted to", (task) => count(task.applied), { number: true, help: "Offset after the last record that is counted" }],
        ["Stored to", (task) => count(task.stored), { number: true, help: "Offset a restart goes on from" }],
        ["Refused", (task) => count(task.dead_letters), { number: true, help: "Records that could not be used since the worker started; see alsobought dead-letters" }],
        ["Lists", (task) => count(task.lists), { number: true, help: "Published since the worker started" }],
        ["p50", (task) => milliseconds(task.latency_p50_ms), { number: true, help: "Event in Kafka to its changed lists in Kafka, last interval, median" }],
        ["p99", (task) => milliseconds(task.latency_p99_ms), { number: true, help: "The same, 99th percentile" }],
        ["Process", (task) => [task.worker, task.silent ? h("span", { class: "sub" }, `last heard ${count(Math.round(task.heard_seconds_ago))} s ago`) : null]],
      ], status.tasks) : empty("No worker has reported. Start everything with", "alsobought up"),
      status.missing.length && status.tasks.length ? empty(`Never heard of: ${status.missing.join(", ")}. What is missing starts with`, status.missing.every((task) => task.startsWith("recommender/")) ? "alsobought recommender" : "alsobought worker") : null].filter(Boolean));
    published.replaceChildren(h("h1", {}, "Published"), table([
      ["Kind", (of) => of.kind], ["Events", (of) => of.events],
      ["Lists", (of) => count(of.lists), { number: true }],
      ["Recommendations", (of) => count(of.recommendations), { number: true, help: "Customers, and profiles of accounts" }],
    ], status.kinds), h("p", { class: "note" }, `${count(status.items)} items in the catalogue.`));
  } };
}
