// The state machine with its counts, and the charts.

import { make } from "./words.js";

const WIDE = 112, HIGH = 44;
const PLACES = {
  DISCOVERED: [8, 20], VERIFIED: [132, 20], RESERVED: [256, 20], SIGNED: [380, 20], PAID: [504, 20],
  MARKING: [628, 20], MARKED: [752, 20], COMPLETED: [876, 20],
  HELD: [504, 108], WITHDRAWING: [380, 108],
  COMPENSATED: [256, 196], FAILED: [628, 196], QUARANTINED: [504, 196],
};
const EDGES = [
  ["DISCOVERED", "VERIFIED"], ["VERIFIED", "RESERVED"], ["RESERVED", "SIGNED"], ["SIGNED", "PAID"],
  ["PAID", "MARKING"], ["MARKING", "MARKED"], ["MARKED", "COMPLETED"], ["SIGNED", "WITHDRAWING"],
  ["WITHDRAWING", "COMPENSATED"], ["PAID", "HELD"], ["MARKING", "HELD"], ["HELD", "QUARANTINED"],
  ["HELD", "FAILED"], ["MARKED", "FAILED"], ["RESERVED", "COMPENSATED"],
];
const TROUBLE = new Set(["HELD", "FAILED", "QUARANTINED", "WITHDRAWING"]);

export const STATES = Object.keys(PLACES);
export const ENDED = new Set(["COMPLETED", "COMPENSATED", "FAILED", "QUARANTINED"]);

function edge([from, to]) {
  const [x1, y1] = PLACES[from], [x2, y2] = PLACES[to];
  const level = y1 === y2;
  const start = level ? [x1 + WIDE, y1 + HIGH / 2] : [x1 + WIDE / 2, y1 + HIGH];
  const end = level ? [x2, y2 + HIGH / 2] : [x2 + WIDE / 2, y2];
  return make("svg:path", { class: "edge", d: `M${start} L${end}` });
}

/** Draw the machine once; returns what puts the counts in. */
export function drawMap(svg, onPick) {
  const counts = {};
  svg.append(...EDGES.map(edge));
  for (const [state, [x, y]] of Object.entries(PLACES)) {
    const count = make("svg:text", { class: "count", x: x + WIDE / 2, y: y + 37, "text-anchor": "middle" }, "0");
    const node = make("svg:g", {
      class: `node${TROUBLE.has(state) ? " trouble" : ""}`, tabindex: 0, role: "button", "data-state": state,
      onclick: () => onPick(state),
      onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); onPick(state); } },
    },
    make("svg:rect", { x, y, width: WIDE, height: HIGH, rx: 8 }),
    make("svg:text", { x: x + WIDE / 2, y: y + 17, "text-anchor": "middle" }, state.toLowerCase()), count);
    svg.append(node);
    counts[state] = (number) => {
      count.textContent = number.toLocaleString();
      node.classList.toggle("some", number > 0);
      node.setAttribute("aria-label", `${state.toLowerCase()}: ${number} swaps; show them alone`);
    };
  }
  return (found) => { for (const state of STATES) counts[state](found[state] ?? 0); };
}

function scale(values) {
  return Math.max(1e-9, ...values);
}

function axis(svg, text, summary) {
  svg.append(make("svg:text", { class: "axis", x: 2, y: 11 }, text));
  svg.setAttribute("aria-label", summary);
}

/** Bars, one an hour, newest at the right. */
export function bars(svg, values, unit) {
  const most = scale(values), wide = 396 / values.length;
  svg.replaceChildren(...values.map((value, index) => make("svg:rect", {
    class: "bar", x: 2 + index * wide, width: Math.max(wide - 2, 1), rx: 1,
    y: 116 - (value / most) * 98, height: (value / most) * 98,
  })));
  const sum = values.reduce((a, b) => a + b, 0);
  axis(svg, sum ? `most ${Math.max(...values)} ${unit}` : "nothing yet", `${sum} ${unit} in ${values.length} hours`);
}

/** Dots, the newest at the right. */
export function dots(svg, values, unit, written = (value) => value.toFixed(1)) {
  const most = scale(values), wide = 392 / Math.max(values.length - 1, 1);
  svg.replaceChildren(...values.map((value, index) => make("svg:circle", {
    class: "dot", r: 3, cx: 4 + index * wide, cy: 116 - (value / most) * 96,
  })));
  const middle = [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
  const said = values.length ? `middle ${written(middle)}, most ${written(Math.max(...values))} ${unit}` : "nothing yet";
  axis(svg, said, values.length ? `${values.length} values: ${said}` : "nothing yet");
}
