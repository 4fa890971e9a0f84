// The made-up visitor of a demo, for whom items are bought on the page.

import { address, shown } from "./asking.js";
import { h } from "./dom.js";
import { listen } from "./live.js";

const HEARD_MS = 10_000;

export function visitor() {
  let id = sessionStorage.getItem("visitor");
  if (!id) {
    id = `visitor-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    sessionStorage.setItem("visitor", id);
  }
  return id;
}

async function order(item) {
  const answer = await fetch("api/demo/purchases", {
    method: "POST", headers: { ...shown(), "Content-Type": "application/json" }, body: JSON.stringify({ customer_id: visitor(), item_id: item }),
  });
  const body = await answer.json();
  if (!answer.ok) throw body;
  return body;
}

// A button that buys what `item` gives, and says how long it took until the item's list had changed.
export function buyButton(item) {
  const said = h("span", { role: "status", class: "sub" });
  const button = h("button", { type: "button", onclick: async () => {
    const bought = item(), begin = performance.now();
    button.disabled = true;
    said.replaceChildren("Buying ...");
    let stop = () => {}, timer = 0;
    const heard = new Promise((resolve) => {
      stop = listen({ item: (changed) => changed.item_id === bought && resolve(performance.now() - begin) });
      timer = setTimeout(() => resolve(null), HEARD_MS);
    });
    try {
      await order(bought);
      const link = h("a", { href: address("customers", { customer: visitor() }) }, visitor());
      said.replaceChildren("Bought for ", link, ".");
      const took = await heard;
      said.replaceChildren("Bought for ", link, took === null ? ". Its list has not changed: a first purchase goes with nothing yet."
        : `. Its changed list was seen here after ${(took / 1000).toFixed(1)} s; the page hears of changes twice a second.`);
    } catch (error) {
      said.replaceChildren(error.what ?? String(error));
    } finally {
      stop();
      clearTimeout(timer);
      button.disabled = false;
    }
  } }, "Buy it for a visitor");
  return h("span", { class: "buy" }, button, said);
}
