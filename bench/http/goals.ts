/** How much a request with Tidemark may cost. */
import { intervalOf } from "../report/rounds.js";
import { figureOf, type Goal } from "../report/section.js";
import type { Framework } from "./app.js";
import { type MeasuredCell, nameOf } from "./cell.js";
import { type Load, loadShare, loads } from "./delay.js";
import { noCall, type Route, read, readWithToken, routes, write, writeThenRead } from "./routes.js";

/** The least ratios of requests per second, by framework and by Node. */
const express: Readonly<Record<string, ReadonlyMap<Route, number>>> = {
  "20": new Map([
    [noCall, 0.95],
    [read, 0.92],
    [readWithToken, 0.87],
    [write, 0.82],
    [writeThenRead, 0.8],
  ]),
  "24": new Map([
    [noCall, 0.92],
    [read, 0.85],
    [readWithToken, 0.78],
    [write, 0.75],
    [writeThenRead, 0.72],
  ]),
};
const koaAndFastify: Readonly<Record<string, ReadonlyMap<Route, number>>> = {
  "20": new Map([
    [noCall, 0.8],
    [read, 0.78],
    [write, 0.65],
  ]),
  "24": new Map([
    [noCall, 0.85],
    [read, 0.8],
    [write, 0.65],
  ]),
};
const throughput: Partial<Record<Framework, Readonly<Record<string, ReadonlyMap<Route, number>>>>> = {
  Express: express,
  Koa: koaAndFastify,
  Fastify: koaAndFastify,
};
const mostScavenging = 1.3;
/** Ratios of p99. */
const mostDelay: Readonly<Record<Load, number>> = { quiet: 1.2, busy: 1 };

export function goalsOf(cells: readonly MeasuredCell[]): readonly Goal[] {
  return cells.flatMap((cell) => [...throughputGoals(cell), scavengeGoal(cell), ...delayGoals(cell)]);
}

function throughputGoals(cell: MeasuredCell): Goal[] {
  const limits = throughput[cell.framework]?.[cell.node.major] ?? new Map<Route, number>();
  return Array.from(limits, ([route, limit]) => ({
    what: `${nameOf(cell)}, ${route.name}: requests/s, to the plain app`,
    limit,
    is: "at least",
    measured: intervalOf(cell.costs.ratios(route, "tidemark", "perSecond")),
  }));
}

/** Of the route with the greatest ratio. */
function scavengeGoal(cell: MeasuredCell): Goal {
  const ratios = routes.map((route) => intervalOf(cell.costs.ratios(route, "tidemark", "scavengeUs")));
  const known = ratios.filter(({ median }) => Number.isFinite(median));
  const [measured = figureOf([])] = known.toSorted((one, other) => other.median - one.median);
  return {
    what: `${nameOf(cell)}, time of scavenges for a request, worst of all routes: to the plain app`,
    limit: mostScavenging,
    is: "at most",
    measured,
  };
}

function delayGoals(cell: MeasuredCell): Goal[] {
  if (!cell.isScheduled) return [];
  return loads.map((load) => ({
    what: `${nameOf(cell)}, ${readWithToken.name}, at ${100 * loadShare} % load, primary ${load}: p99, to the plain app`,
    limit: mostDelay[load],
    is: "at most",
    measured: intervalOf(cell.delays.ratios(load, "tidemark", "p99Ms")),
  }));
}
