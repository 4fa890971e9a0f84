// Which view is shown, of which kind of events: all of it is in the address, after the #.

import { address, ask, go, keepToken, takeToken, where } from "./asking.js";
import { h, problem } from "./dom.js";
import { items, bestsellers } from "./items.js";
import { customers } from "./customers.js";
import { listen } from "./live.js";
import { quality } from "./quality.js";
import { shop } from "./shop.js";
import { system } from "./system.js";

const FIRST = "shop";
const VIEWS = { shop: ["Shop window", shop], items: ["Items", items], bestsellers: ["Bestsellers", bestsellers], customers: ["Customers", customers],
  quality: ["Quality", quality], system: ["System", system] };
// Views of lists: of kinds, too, that nobody publishes events of.
const LISTS_ALONE = ["shop", "items", "system"];
const AGAIN = 8, STATUS_MS = 2_000, STARTING_MS = 300;  // AGAIN: pulses, of which there are two a second

const main = document.getElementById("main"), nav = document.getElementById("nav");
const kindChoice = document.getElementById("kind"), state = document.getElementById("state");
let status = null, shown = null, view = null;

function show() {
  if (!status?.ready) return;
  const { name: asked, parameters } = where(), name = asked in VIEWS ? asked : FIRST;
  const offered = status.kinds.filter((of) => of.word !== null || LISTS_ALONE.includes(name));
  const kind = offered.find((of) => of.kind === parameters.kind) ?? offered[0];
  if (shown !== name) {
    shown = name;
    const [title, make] = VIEWS[name];
    document.title = `${title} · alsobought`;
    view?.close?.();
    main.replaceChildren();
    view = make(main);
  }
  nav.replaceChildren(...Object.entries(VIEWS).map(([other, [title]]) =>
    h("a", { href: address(other), "aria-current": other === name ? "page" : undefined }, title)));
  kindChoice.value = kind.kind;
  view.show(parameters, kind, status);
}

function takeStatus(reported) {
  const kinds = reported.kinds.map((of) => of.kind).join();
  if (status?.kinds.map((of) => of.kind).join() !== kinds) {
    kindChoice.replaceChildren(...reported.kinds.map((of) => h("option", { value: of.kind }, of.word === null ? of.kind : `${of.kind} (${of.events})`)));
  }
  const first = !status?.ready && reported.ready;
  status = reported;
  const silent = reported.tasks.filter((task) => task.silent).length + reported.missing.length;
  const behind = reported.tasks.reduce((sum, task) => sum + (task.lag ?? 0), 0);
  const [name, text] = !reported.ready ? ["warn", "reading"]
    : !reported.tasks.length ? ["bad", "no workers"]
    : silent ? ["bad", `${silent} ${silent > 1 ? "partitions" : "partition"} without a process`]
    : behind > 1000 ? ["warn", `${behind.toLocaleString("en")} records behind`] : ["good", "up to date"];
  state.className = `state ${name}`;
  if (state.textContent !== text) state.textContent = text;
  if (!reported.ready) {
    shown = null;
    view?.close?.();
    view = null;
    main.replaceChildren(h("section", { class: "loading wide" }, h("h1", {}, "Reading what is published"),
      h("p", {}, `${reported.loaded.toLocaleString("en")} of ${reported.of.toLocaleString("en")} records.`)));
  }
  if (first) show();
}

// A form for the token that the server wants; who opens #token=... needs none.
function askForToken(error) {
  const field = h("input", { type: "password", autocomplete: "off", required: true, pattern: "[\\w\\-]+" });
  const form = h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    keepToken(field.value);
    location.reload();
  } }, h("label", { class: "field" }, "Token", field), h("button", {}, "Open"));
  main.replaceChildren(h("section", { class: "wide" }, h("h1", {}, "This server wants a token"),
    h("p", {}, `${error.what}. Whoever runs the server has made one with alsobought token make.`), form));
  field.focus();
}

async function watchStatus() {
  try {
    takeStatus(await ask("status"));
  } catch (error) {
    state.className = "state bad";
    state.textContent = error.status === 401 || error.status === 403 ? "no token" : "no answer";
    if (state.textContent === "no token") return askForToken(error);
    if (!status) main.replaceChildren(problem(error));
  }
  setTimeout(watchStatus, status?.ready ? STATUS_MS : STARTING_MS);
}

kindChoice.addEventListener("change", () => {
  const { name, parameters } = where();
  go(name || FIRST, { ...parameters, kind: kindChoice.value });
});
addEventListener("hashchange", () => (takeToken() ? location.reload() : show()));
addEventListener("resize", () => { if (view?.resize) view.resize(); });
// What moves with the stream is asked for again as the stream moves, and not while nobody looks.
let beats = 0;
listen({ pulse(sample) {
  const moves = sample.kinds.some((of) => of.counted_per_s || of.lists_per_s);
  if (++beats % AGAIN === 0 && !document.hidden && (moves || beats % (5 * AGAIN) === 0)) show();
} });
takeToken();
watchStatus();
