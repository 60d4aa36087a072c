/**
 * The lag of each replica as a curve, with the replicas' names and their lag at the cursor beside it. Servers that are no longer
 * replicas have no name there.
 */
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

interface Curve {
  readonly address: string;
  /** Undefined for a curve without a name. */
  readonly style: number | undefined;
  /** Whether the server is a replica now. */
  readonly isReplica: boolean;
  /** The lag in each moment. */
  readonly lags: readonly (number | undefined)[];
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

  show(moments: readonly Moment[]): void {
    const curves = this.#curvesOf(moments);
    const highest = Math.max(lowestTopMs, ...curves.map(peakOf));
    const paint = (plot: Plot) => curves.toReversed().flatMap((curve) => draws(plot, curve, moments));
    this.#chart.draw(moments, highest, { label: milliseconds, paint });
    const selected = moments.findIndex(({ from }) => from === this.#cursor.at);
    this.#list(curves, selected);
    setText(byId("other-lags"), othersText(curves));
  }

  /** The named curves first. */
  #curvesOf(moments: readonly Moment[]): readonly Curve[] {
    const lagsOfAll = moments.map(lagsOf);
    const addresses = new Set(lagsOfAll.flatMap((lags) => [...lags.keys()]));
    const nodes = moments.flatMap(({ samples }) => samples).at(-1)?.nodes ?? [];
    const replicas = new Set(nodes.flatMap(({ address, role }) => (role === "replica" ? [address] : [])));
    const curves = [...addresses].map((address) => ({
      address,
      style: undefined,
      isReplica: replicas.has(address),
      lags: lagsOfAll.map((lags) => lags.get(address)),
    }));
    const named = curves
      .filter(({ isReplica }) => isReplica)
      .toSorted((one, other) => worst(other) - worst(one))
      .slice(0, mostNamed);
    this.#styles = stylesOf(named, this.#styles);
    const styled = curves.map((curve) => ({ ...curve, style: this.#styles.get(curve.address) }));
    return styled.toSorted((one, other) => (one.style ?? mostNamed) - (other.style ?? mostNamed));
  }

  /** Lists the named curves with their lag in one moment. A negative index counts from the last. */
  #list(curves: readonly Curve[], index: number): void {
    const rows = new Map<string, HTMLTableRowElement>();
    for (const { address, style, lags } of curves) {
      if (style === undefined) continue;
      const line = this.#rows.get(address) ?? row(cell("lag-name", key(style), address), cell("number"));
      const lag = lags.at(index);
      if (line.lastElementChild)
        setText(line.lastElementChild, lag === undefined ? "not proven" : milliseconds(lag));
      line.classList.toggle("unproven", lag === undefined);
      line.querySelector(".key")?.replaceWith(key(style));
      rows.set(address, line);
    }
    this.#rows = rows;
    arrange(this.#body, [...rows.values()]);
    byId("lags").hidden = rows.size === 0;
  }
}

function othersText(curves: readonly Curve[]): string {
  const replicas = curves.filter(({ isReplica }) => isReplica);
  const others = replicas.filter(({ style }) => style === undefined).length;
  const noReplica = replicas.length === 0 ? "No replica is known." : "";
  const text = others > 0 ? `The other ${others} replicas are drawn thin. They lagged less.` : noReplica;
  return replicas.length < curves.length ? `${text} Former replicas are drawn thin.`.trim() : text;
}

function describe(moment: Moment): string {
  const lags = [...lagsOf(moment)].toSorted(([, one = -1], [, other = -1]) => other - one);
  const proven = lags.flatMap(([address, lag]) =>
    lag === undefined ? [] : [`${address} ${milliseconds(lag)}`],
  );
  const unproven = lags.length - proven.length;
  const parts = [...proven.slice(0, mostNamed), ...(unproven > 0 ? [`${unproven} not proven`] : [])];
  return `${clockTime(moment.from)}: ${parts.join(", ")}`;
}

/** The largest lag of each replica in a moment. Undefined if it was not proven for the whole moment. */
function lagsOf({ samples }: Moment): ReadonlyMap<string, number | undefined> {
  const lags = new Map<string, number | undefined>();
  for (const { nodes } of samples)
    for (const { address, role, lagMs } of nodes) {
      if (role !== "replica") continue;
      const before = lags.has(address) ? lags.get(address) : 0;
      lags.set(address, lagMs === undefined || before === undefined ? undefined : Math.max(before, lagMs));
    }
  return lags;
}

function peakOf({ lags }: Curve): number {
  return Math.max(0, ...lags.map((lag = 0) => lag));
}

/** Of two replicas, the one without proof now is worse, then the one that has lagged more. */
function worst(curve: Curve): number {
  return curve.lags.at(-1) === undefined ? Number.MAX_VALUE : peakOf(curve);
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

/** The curve has a gap at each moment without proof. */
function draws(
  { x, y, momentWidth }: Plot,
  { style, lags }: Curve,
  moments: readonly Moment[],
): SVGElement[] {
  const parts = moments.map(({ from }, index) => {
    const lag = lags[index];
    if (lag === undefined) return "";
    const point = `${(x(from) + momentWidth / 2).toFixed(1)} ${y(lag).toFixed(1)}`;
    // A point between two gaps needs a length to be seen.
    return lags[index - 1] === undefined ? `M${point}h0.1` : `L${point}`;
  });
  const d = parts.join("");
  return d === "" ? [] : [draw("path", { d, ...strokeOf(style) })];
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
