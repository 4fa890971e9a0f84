// The pulse of the stream, as the server sends it: one connection for the page, opened anew when what is watched changes.

import { shown } from "./asking.js";

const KEPT = 600, AGAIN_MS = 3_000;

export const pulses = [];
export const story = [];
const listeners = new Set();
let connection = null, wanted = "", timer = 0;

const TAKES = {
  history(newer) { keep(newer); say("history", pulses); },
  pulse(pulse) { keep([pulse]); say("pulse", pulse); },
  story(steps) { story.splice(0, Infinity, ...steps); say("story", story); },
  item(changed) { say("item", changed); },
  customer(changed) { say("customer", changed); },
};

// Server-sent events, read here: an EventSource cannot send the header with the token.
async function read(signal) {
  const answer = await fetch(`api/live?${wanted}&since=${pulses.at(-1)?.at_ms ?? 0}`, { headers: shown(), signal });
  if (!answer.ok) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = "", part = await reader.read(); !part.done; part = await reader.read()) {
    const events = (text + part.value).split("\n\n");
    text = events.pop();
    for (const event of events) {
      const { event: name, data } = Object.fromEntries(event.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      TAKES[name]?.(JSON.parse(data));
    }
  }
}

// A connection that ends, or is refused, such as by a server that starts, is opened again after a while.
async function open() {
  clearTimeout(timer);
  connection?.abort();
  const own = connection = new AbortController();
  await read(own.signal).catch(() => {});
  if (own.signal.aborted) return;
  say("lost");
  timer = setTimeout(open, AGAIN_MS);
}

function keep(newer) {
  pulses.push(...newer);
  pulses.splice(0, Math.max(0, pulses.length - KEPT));
}

function say(what, content) {
  for (const listener of [...listeners]) listener[what]?.(content);
}

// Begin to listen, or go on with other items and customers to be told of.
export function watch(kind, items = [], customers = []) {
  const ids = [...items].sort();  // another order is no other question
  const query = new URLSearchParams([["kind", kind], ...ids.map((id) => ["item", id]), ...customers.map((id) => ["customer", id])]).toString();
  if (connection && query === wanted) return;
  wanted = query;
  open();
}

// `listener` has functions history, pulse, story, item, customer and lost, as it needs them; returns how to stop.
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

// The samples of a kind, oldest first.
export const samples = (kind) => pulses.map((pulse) => ({ at_ms: pulse.at_ms, ...pulse.kinds.find((of) => of.kind === kind) }));
