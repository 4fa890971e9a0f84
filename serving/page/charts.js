// Charts as SVG: rates over days, and bars around zero.

import { h, s, count, percent } from "./dom.js";

const HEIGHT = 290, LEFT = 44, RIGHT = 150, TOP = 12, BOTTOM = 26, LABEL = 15;
const NAMES = ["ours", "bestsellers", "raw", "flawed", "corrected"];
export const colour = (name) => (NAMES.includes(name) ? name : "other");

function steps(most) {
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.25].find((size) => most / size <= 5) ?? 0.25;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) => i * step);
}

// Labels at the right end, moved apart so that none hides another.
function apart(ends) {
  const sorted = [...ends].sort((a, b) => a.y - b.y);
  for (let i = 1; i < sorted.length; i++) sorted[i].y = Math.max(sorted[i].y, sorted[i - 1].y + LABEL);
  const over = sorted.length ? sorted.at(-1).y - (HEIGHT - BOTTOM) : 0;
  if (over > 0) for (let i = sorted.length - 1; i >= 0; i--) {
    sorted[i].y = Math.min(sorted[i].y, HEIGHT - BOTTOM - (sorted.length - 1 - i) * LABEL);
  }
  return ends;
}

// `days`: names in order; `series`: {name: [rate or null per day]}; `cases`: per day.
export function lineChart(days, series, cases, label, width) {
  const rates = Object.values(series).flat().filter((rate) => rate !== null);
  const most = Math.max(0.02, ...rates) * 1.08;
  const x = (i) => LEFT + ((width - LEFT - RIGHT) * i) / Math.max(1, days.length - 1);
  const y = (rate) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - rate / most);
  const every = Math.max(1, Math.ceil(days.length / Math.max(2, (width - LEFT - RIGHT) / 110)));
  const cursor = s("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  const readout = h("p", { class: "readout", "aria-live": "off" }, "Point at a day for its numbers.");
  const lines = Object.entries(series).map(([name, values]) => {
    let path = "", open = false;
    values.forEach((rate, i) => {
      if (rate !== null) path += `${open ? "L" : "M"}${x(i).toFixed(1)} ${y(rate).toFixed(1)}`;
      open = rate !== null;
    });
    return s("path", { class: `series ${colour(name)} ${name === "ours" ? "first" : ""}`, d: path });
  });
  const ends = Object.entries(series).map(([name, values]) => {
    const rate = values.findLast((value) => value !== null) ?? 0;
    return { name, rate, y: y(rate) };
  });
  const svg = s("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label },
    steps(most).map((rate) => [
      s("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: y(rate), y2: y(rate) }),
      s("text", { x: LEFT - 8, y: y(rate) + 4, "text-anchor": "end" }, percent(rate, 0)),
    ]),
    days.map((day, i) => (i % every ? null : s("text", { x: x(i), y: HEIGHT - 6, "text-anchor": "middle" }, day))),
    cursor, lines,
    apart(ends).map((end) => s("text", { class: `end ${colour(end.name)}`, x: width - RIGHT + 8, y: end.y + 4 },
      `${end.name} ${percent(end.rate)}`)));
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) * width) / box.width;
    const i = Math.min(days.length - 1, Math.max(0, Math.round(((at - LEFT) / (width - LEFT - RIGHT)) * (days.length - 1))));
    cursor.setAttribute("x1", x(i)); cursor.setAttribute("x2", x(i)); cursor.setAttribute("visibility", "visible");
    const answer = Object.entries(series).map(([name, values]) => `${name} ${values[i] === null ? "–" : percent(values[i])}`);
    readout.textContent = `${days[i]}: ${answer.join(", ")}; ${count(cases[i])} cases`;
  });
  return [svg, readout];
}

// Values over the last minutes, without axes; of one series, or of several with a colour each. null: none.
export function sparkline(values, label, colours = ["first"], width = 260, height = 44) {
  const series = Array.isArray(values[0]) ? values : [values];
  const known = series.flat().filter((value) => value !== null), most = Math.max(1e-9, ...known) * 1.05;
  const least = series.length > 1 ? Math.min(...known, most) * 0.95 : 0;  // rates of several differ by little
  const longest = Math.max(2, ...series.map((one) => one.length));
  const x = (i) => (width * i) / (longest - 1), y = (value) => 2 + (height - 4) * (1 - (value - least) / (most - least || 1));
  return s("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    series.map((one, of) => {
      let path = "", open = false;
      one.forEach((value, i) => {
        if (value !== null) path += `${open ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
        open = value !== null;
      });
      return s("path", { class: `series ${colours[of] ?? "other"}`, d: path, "vector-effect": "non-scaling-stroke" });
    }));
}

// How many have both items, as a bar, and how many were expected to, as a mark; on one scale up to `most`.
export function together(counted, expected, most, width = 190) {
  const x = (value) => (Math.min(value, most) / Math.max(most, 1e-9)) * (width - 4);
  return s("svg", { class: "both", width, height: 18, viewBox: `0 0 ${width} 18`, "aria-hidden": "true" },
    s("rect", { class: "counted", x: 0, y: 3, width: Math.max(1, x(counted)), height: 12, rx: 2 }),
    s("line", { class: "expected", x1: x(expected) + 1, x2: x(expected) + 1, y1: 0, y2: 18 }));
}

// A bar from zero to the left or right; `most` is the largest absolute value of its chart.
export function bar(value, most, width = 220) {
  const middle = width / 2, length = (Math.abs(value) / Math.max(most, 1e-9)) * (middle - 2);
  return s("svg", { width, height: 16, viewBox: `0 0 ${width} 16`, "aria-hidden": "true" },
    s("rect", { class: value < 0 ? "bar-less" : "bar-good", x: value < 0 ? middle - length : middle, y: 2, width: length, height: 12 }),
    s("line", { class: "zero", x1: middle, x2: middle, y1: 0, y2: 16 }));
}

// A rate with its interval on a common scale from 0 to `most`.
export function interval(rate, low, high, most, width = 180) {
  const x = (value) => 6 + (Math.min(value, most) / most) * (width - 12);
  return s("svg", { width, height: 16, viewBox: `0 0 ${width} 16`, "aria-hidden": "true" },
    s("line", { class: "axis", x1: 6, x2: width - 6, y1: 8, y2: 8 }),
    s("rect", { class: "band", x: x(low), y: 4, width: Math.max(1, x(high) - x(low)), height: 8, rx: 3 }),
    s("circle", { class: "point", cx: x(rate), cy: 8, r: 4 }));
}
