// The pulse of the stream, as the server sends it: one connection for the page, opened anew when what is watched changes.

const KEPT = 600, AGAIN_MS = 3_000;

export const pulses = [];
export const story = [];
const listeners = new Set();
let source = null, wanted = "", timer = 0;

function open() {
  source?.close();
  source = new EventSource(`api/live?${wanted}&since=${pulses.at(-1)?.at_ms ?? 0}`);
  source.addEventListener("history", (event) => {
    keep(JSON.parse(event.data));
    say("history", pulses);
  });
  source.addEventListener("pulse", (event) => {
    const pulse = JSON.parse(event.data);
    keep([pulse]);
    say("pulse", pulse);
  });
  source.addEventListener("story", (event) => {
    story.splice(0, Infinity, ...JSON.parse(event.data));
    say("story", story);
  });
  for (const what of ["item", "customer"]) source.addEventListener(what, (event) => say(what, JSON.parse(event.data)));
  // What was refused, such as by a server that starts, is not asked for again by itself.
  source.addEventListener("error", () => {
    say("lost");
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(timer);
      timer = setTimeout(open, AGAIN_MS);
    }
  });
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
  if (source && query === wanted) return;
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
