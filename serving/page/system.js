// How far every partition is.

import { badge, count, empty, h, milliseconds, table } from "./dom.js";

export function system(main) {
  const place = h("section", {}), published = h("section", {});
  main.className = "one";
  main.append(place, published);
  return { show(_, kind, status) {
    place.replaceChildren(...[h("h1", {}, "Partitions"),
      h("p", { class: "note" }, "Each is counted by one worker, and those of events are recommended from by one recommender; both report every second. The same and more for Prometheus: ", h("a", { href: "metrics" }, "/metrics"), "."),
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
