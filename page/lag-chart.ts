/** The lag of each replica as a curve, with the replicas' names and their lag at the cursor beside it. */
import type { Sample } from "../src/http/dashboard/feed-messages.js";
import { arrange, bodyOf, byId, cell, draw, row, setText } from "./element.js";
import type { Moment } from "./moments.js";
import { clockTime, milliseconds } from "./quantities.js";
import { type Plot, TimeChart } from "./time-chart.js";
import type { TimeCursor } from "./time-cursor.js";

const height = 190;
/** So many curves can be told apart by colour and dashes. All further ones are drawn thin and grey. */
const mostNamed = 6;
/** The axis has room for the lag of a calm deployment, so that noise of a few milliseconds looks like noise. */
const lowestTopMs = 10;
const dashes = ["", "7 3", "2 3", "10 3 2 3", "5 5", "1 2"];
/** A longer time between two samples is a gap in what is known. */
const longestStepMs = 2_500;

interface Curve {
  readonly address: string;
  /** Undefined for a curve without a name. */
  readonly style: number | undefined;
  readonly points: readonly { readonly at: number; readonly lagMs: number | undefined }[];
}

export class LagChart {
  readonly #chart: TimeChart;
  readonly #cursor: TimeCursor;
  readonly #body = bodyOf("lags");
  /** Replicas keep their style while they have one. */
  #styles = new Map<string, number>();
  #rows = new Map<string, HTMLTableRowElement>();

  constructor(cursor: TimeCursor) {
    const text = { label: "Lag of the replicas over the last five minutes", describe };
    this.#cursor = cursor;
    this.#chart = new TimeChart(byId("lag-chart"), cursor, { text, height });
  }

  show(moments: readonly Moment[], samples: readonly Sample[]): void {
    const curves = this.#curvesOf(samples);
    const highest = Math.max(lowestTopMs, ...curves.map(peakOf));
    const from = moments[0]?.from ?? 0;
    const paint = (plot: Plot) => curves.toReversed().flatMap((curve) => draws(plot, curve, from));
    this.#chart.draw(moments, highest, { label: milliseconds, paint });
    this.#list(curves, samples);
  }

  /** The named curves first, the one that lags most at the top. */
  #curvesOf(samples: readonly Sample[]): readonly Curve[] {
    const addresses = new Set(
      samples.flatMap(({ nodes }) => nodes.filter(isReplica).map(({ address }) => address)),
    );
    const curves = [...addresses].map((address) => ({
      address,
      style: undefined,
      points: pointsOf(address, samples),
    }));
    const named = curves.toSorted((one, other) => worst(other) - worst(one)).slice(0, mostNamed);
    this.#styles = stylesOf(named, this.#styles);
    const styled = curves.map((curve) => ({ ...curve, style: this.#styles.get(curve.address) }));
    return styled.toSorted((one, other) => (one.style ?? mostNamed) - (other.style ?? mostNamed));
  }

  #list(curves: readonly Curve[], samples: readonly Sample[]): void {
    const { at } = this.#cursor;
    const sample = samples.findLast((one) => at === undefined || one.at < at + 5_000) ?? samples.at(-1);
    const rows = new Map<string, HTMLTableRowElement>();
    for (const { address, style } of curves) {
      if (style === undefined) continue;
      const line = this.#rows.get(address) ?? row(cell("lag-name", key(style), address), cell("number"));
      const node = sample?.nodes.find((one) => one.address === address);
      const lag = node?.lagMs;
      if (line.lastElementChild)
        setText(line.lastElementChild, lag === undefined ? "not proven" : milliseconds(lag));
      line.classList.toggle("unproven", lag === undefined);
      rows.set(address, line);
    }
    for (const [address, line] of rows)
      line.querySelector(".key")?.replaceWith(key(this.#styles.get(address) ?? 0));
    this.#rows = rows;
    arrange(this.#body, [...rows.values()]);
    const others = curves.length - rows.size;
    setText(byId("other-lags"), othersText(curves.length, others));
  }
}

function othersText(all: number, others: number): string {
  if (all === 0) return "There is no replica.";
  return others === 0 ? "" : `The other ${others} replicas are drawn thin. They lagged less.`;
}

function describe({ from, samples }: Moment): string {
  const nodes = samples.at(-1)?.nodes.filter(isReplica) ?? [];
  const proven = nodes.filter(({ lagMs }) => lagMs !== undefined);
  const worstFirst = proven
    .toSorted((one, other) => (other.lagMs ?? 0) - (one.lagMs ?? 0))
    .slice(0, mostNamed);
  const lags = worstFirst.map(({ address, lagMs = 0 }) => `${address} ${milliseconds(lagMs)}`);
  const unproven = nodes.length - proven.length;
  return `${clockTime(from)}: ${[...lags, ...(unproven > 0 ? [`${unproven} not proven`] : [])].join(", ")}`;
}

function isReplica({ role }: { readonly role: string }): boolean {
  return role === "replica";
}

function pointsOf(address: string, samples: readonly Sample[]): Curve["points"] {
  return samples.map(({ at, nodes }) => ({
    at,
    lagMs: nodes.find((node) => node.address === address && isReplica(node))?.lagMs,
  }));
}

function peakOf({ points }: Curve): number {
  return Math.max(0, ...points.map(({ lagMs = 0 }) => lagMs));
}

/** Of two replicas, the one without proof now is worse, then the one that has lagged more. */
function worst(curve: Curve): number {
  return curve.points.at(-1)?.lagMs === undefined ? Number.MAX_VALUE : peakOf(curve);
}

function stylesOf(named: readonly Curve[], before: ReadonlyMap<string, number>): Map<string, number> {
  const kept = named.flatMap(({ address }) => {
    const style = before.get(address);
    return style === undefined ? [] : [[address, style] as const];
  });
  const styles = new Map(kept);
  const free = dashes.map((_, style) => style).filter((style) => !kept.some(([, used]) => used === style));
  for (const { address } of named) if (!styles.has(address)) styles.set(address, free.shift() ?? 0);
  return styles;
}

/** The oldest samples may be from before the first moment. */
function draws({ x, y }: Plot, { style, points }: Curve, from: number): SVGElement[] {
  const parts: string[] = [];
  let previous: number | undefined;
  for (const { at, lagMs } of points) {
    if (lagMs === undefined || at < from) {
      previous = undefined;
      continue;
    }
    const isNext = previous !== undefined && at - previous <= longestStepMs;
    parts.push(`${isNext ? "L" : "M"}${x(at).toFixed(1)} ${y(lagMs).toFixed(1)}`);
    // A single point needs a length to be seen.
    if (!isNext) parts.push("h0.1");
    previous = at;
  }
  return parts.length === 0 ? [] : [draw("path", { d: parts.join(""), ...strokeOf(style) })];
}

function strokeOf(style: number | undefined): Record<string, string> {
  if (style === undefined) return { class: "curve other" };
  return { class: `curve line-${style}`, "stroke-dasharray": dashes[style] ?? "" };
}

/** A piece of the curve for the table. */
function key(style: number): SVGSVGElement {
  const piece = draw("path", { d: "M1 6H27", ...strokeOf(style) });
  return draw("svg", { viewBox: "0 0 28 12", class: "key", "aria-hidden": "true" }, piece);
}
