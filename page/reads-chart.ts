/** The reads of each moment as stacked bars, with lanes for events, waits and fallbacks below them. */
import type { Reason } from "../src/diagnostics/channels.js";
import { byId, draw } from "./element.js";
import { heaviestOf, shapeOf } from "./mark-kinds.js";
import type { Moment } from "./moments.js";
import { clockTime, count, rate } from "./quantities.js";
import { totalOf } from "./read-counts.js";
import { type Family, type ReasonText, reasonTexts } from "./reasons.js";
import { type Plot, TimeChart } from "./time-chart.js";
import type { TimeCursor } from "./time-cursor.js";

const height = 240;
const laneHeight = 18;
/** Keeps the name of the first lane off the 0 of the axis. */
const laneGap = 8;
const lanes = ["events", "waits", "fallbacks"] as const;
/** Below this rate the axis would show fractions of a read. */
const lowestTop = 1;
const patternSize = 6;

/**
 * What is drawn over the colour of a family, by the pattern of the reason. Each family has a motif of its own, because many people
 * cannot tell its colour from the others.
 */
const overlays: Readonly<Record<Family, readonly string[]>> = {
  replica: ["", "M-1 1L1 -1M0 6L6 0M5 7L7 5"],
  app: ["M2 3H4", "M1 1.5H2.5M4 4.5H5.5"],
  session: ["M0 3H6", "M0 1.5H6M0 4.5H6", "M0 3H3", "M0 1.5H3M3 4.5H6"],
  lag: ["M-1 -1L7 7", "M-1 -1L7 7M2 -1L7 4M-1 2L4 7", "M1 1L4 4", "M1 1L4 4M4 1L5 2M1 4L2 5"],
  fault: ["M0 0L6 6M6 0L0 6", "M3 0V6", "M1.5 0V6M4.5 0V6", "M3 0V6M0 3H6", "M3 1V5M1 3H5"],
};

export class ReadsChart {
  readonly #chart: TimeChart;

  constructor(cursor: TimeCursor) {
    const text = { label: "Reads by reason over the last five minutes", describe };
    this.#chart = new TimeChart(byId("reads-chart"), cursor, {
      text,
      height,
      lanes: laneGap + lanes.length * laneHeight,
    });
    document.body.append(patterns());
  }

  show(moments: readonly Moment[]): void {
    const highest = Math.max(lowestTop, ...moments.map((moment) => moment.rate));
    const paint = (plot: Plot) => [
      ...moments.flatMap((moment) => bar(plot, moment)),
      ...marks(plot, moments),
    ];
    this.#chart.draw(moments, highest, { label: rate, paint });
  }
}

/** The moment in words, as the user hears it who moves the cursor with the keyboard. */
export function describe(moment: Moment): string {
  return [`${clockTime(moment.from)}: ${summary(moment)}`, ...moment.marks.map(({ text }) => text)].join(" ");
}

/** The numbers of a moment in one sentence. */
export function summary({ counts, waits, fallbacks, refused }: Omit<Moment, "from" | "rate">): string {
  const parts = [
    plural(totalOf(counts), "read"),
    ...(waits > 0 ? [plural(waits, "wait")] : []),
    ...(fallbacks > 0 ? [plural(fallbacks, "fallback")] : []),
    ...(refused > 0 ? [`${count(refused)} refused`] : []),
  ];
  return `${parts.join(", ")}.`;
}

/** A square in the colour and the pattern of a reason. */
export function swatch(reason: Reason): SVGSVGElement {
  const square = draw("rect", { width: 12, height: 12, rx: 2, fill: `url(#fill-${reason})` });
  return draw("svg", { viewBox: "0 0 12 12", class: "swatch", "aria-hidden": "true" }, square);
}

function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

function bar({ x, y, momentWidth }: Plot, { from, counts, samples }: Moment): SVGElement[] {
  const seconds = Math.max(1, samples.length);
  let below = 0;
  return reasonTexts.flatMap(({ reason }) => {
    const reads = (counts.get(reason) ?? 0) / seconds;
    if (reads === 0) return [];
    const [bottom, top] = [y(below), y(below + reads)];
    below += reads;
    const size = { width: Math.max(1, momentWidth - 1), height: Math.max(1, bottom - top) };
    return [draw("rect", { x: x(from) + 0.5, y: top, ...size, fill: `url(#fill-${reason})` })];
  });
}

function marks({ left, right, bottom, x, momentWidth }: Plot, moments: readonly Moment[]): SVGElement[] {
  const yOf = (lane: number) => bottom + laneGap + (lane + 0.5) * laneHeight;
  const titles = lanes.flatMap((name, lane) => [
    draw("text", { x: left - 8, y: yOf(lane) + 4, "text-anchor": "end", class: "axis" }, name),
    draw("line", { x1: left, x2: right, y1: yOf(lane), y2: yOf(lane), class: "lane" }),
  ]);
  const at = (from: number, lane: number, shape: SVGElement): SVGElement => {
    shape.setAttribute("transform", `translate(${x(from) + momentWidth / 2} ${yOf(lane)})`);
    return shape;
  };
  const found = moments.flatMap(({ from, marks, waits, fallbacks, refused }) => {
    const sign = heaviestOf(marks);
    return [
      ...(sign === undefined ? [] : [at(from, 0, shapeOf(sign))]),
      ...(waits === 0 ? [] : [at(from, 1, draw("circle", { r: radius(waits), class: "wait" }))]),
      ...(fallbacks + refused === 0 ? [] : [at(from, 2, fallbackMark(fallbacks + refused, refused > 0))]),
    ];
  });
  return [...titles, ...found];
}

/** Grows with the logarithm, so that one is seen and a thousand fit into the lane. */
function radius(number: number): number {
  return Math.min(6, 2.5 + Math.log10(number));
}

/** A square for reads that the primary took, and a cross if some were refused. */
function fallbackMark(number: number, isRefused: boolean): SVGElement {
  const half = radius(number);
  if (!isRefused)
    return draw("rect", { x: -half, y: -half, width: 2 * half, height: 2 * half, class: "fallback" });
  return draw("path", {
    d: `M${-half} ${-half}L${half} ${half}M${half} ${-half}L${-half} ${half}`,
    class: "refused",
  });
}

function patterns(): SVGElement {
  const definitions = reasonTexts.map(patternOf);
  return draw("svg", { width: 0, height: 0, class: "patterns", "aria-hidden": "true" }, ...definitions);
}

function patternOf({ reason, family, pattern }: ReasonText): SVGElement {
  const size = { width: patternSize, height: patternSize };
  const attributes = { id: `fill-${reason}`, ...size, patternUnits: "userSpaceOnUse", class: family };
  const overlay = draw("path", { d: overlays[family][pattern] ?? "", class: "overlay" });
  return draw("pattern", attributes, draw("rect", { ...size, fill: "currentColor" }), overlay);
}
