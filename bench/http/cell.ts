/** Measures one framework on one Node. */
import { seeded } from "../../test/support/load/seeded.js";
import { type RoundLimits, takeRounds } from "../report/rounds.js";
import type { Framework } from "./app.js";
import type { BusyPrimary } from "./busy-primary.js";
import { Compared } from "./compared.js";
import type { Contestant, Servers } from "./contestants.js";
import { type Cost, costOf } from "./cost.js";
import { type Delay, delayOf, type Load, loadShare, loads } from "./delay.js";
import type { Node } from "./nodes.js";
import { type Route, readWithToken, routes } from "./routes.js";
import type { Block } from "./running-app.js";
import { RunningApps } from "./running-apps.js";
import { momentsOf } from "./schedule.js";
import { shuffled } from "./shuffled.js";

export interface Cell {
  readonly framework: Framework;
  readonly node: Node;
  readonly contestants: readonly Contestant[];
  /** Whether the plain app and that with Tidemark are also sent requests on schedule. */
  readonly isScheduled: boolean;
}

export function nameOf({ framework, node }: Cell): string {
  return `${framework} on Node ${node.major}`;
}

export interface Effort {
  readonly limits: RoundLimits;
  /** Requests of each app before anything counts. */
  readonly warmUp: number;
  /** How often each route has its turn in a round, and the requests of a turn. */
  readonly blocks: number;
  readonly requestsOfBlock: number;
  /** How long requests are sent on schedule. */
  readonly scheduledMs: number;
}

/** What all cells use. */
export interface Stage {
  readonly servers: Servers;
  readonly primary: BusyPrimary;
  readonly effort: Effort;
}

export interface MeasuredCell extends Cell {
  readonly rounds: number;
  readonly costs: Compared<Route, Cost>;
  /** Empty if the cell was not measured on schedule. */
  readonly delays: Compared<Load, Delay>;
}

/** Every round has processes of its own, so that what V8 makes of one process does not decide. */
export async function measure(cell: Cell, stage: Stage): Promise<MeasuredCell> {
  const measured = { costs: new Compared<Route, Cost>(), delays: new Compared<Load, Delay>() };
  const rounds = await takeRounds(
    stage.effort.limits,
    (round) => takeRound(cell, stage, round, measured),
    () => routes.map((route) => measured.costs.ratios(route, "tidemark", "perSecond")),
  );
  return { ...cell, ...measured, rounds };
}

async function takeRound(
  { framework, node, contestants, isScheduled }: Cell,
  { servers, primary, effort }: Stage,
  round: number,
  { costs, delays }: Pick<MeasuredCell, "costs" | "delays">,
): Promise<void> {
  const random = seeded(round);
  using apps = new RunningApps();
  for (const contestant of contestants)
    await apps.start(node.execPath, { framework, contestant, ...servers });
  for (const app of apps.all.values()) await app.warmUp(effort.warmUp, seeded(round));
  for (const [contestant, ofApp] of await serveInTurns(apps, effort, random))
    for (const [route, ofRoute] of ofApp) costs.add(route, contestant, costOf(ofRoute));
  if (!isScheduled) return;
  const perSecond = loadShare * (costs.values(readWithToken, "plain", "perSecond").at(-1) ?? 0);
  for (const load of loads) {
    await using _others = load === "busy" ? await primary.begin() : undefined;
    for (const [contestant, app] of shuffled([...apps.all], random)) {
      if (contestant !== "plain" && contestant !== "tidemark") continue;
      const moments = momentsOf(perSecond, effort.scheduledMs, seeded(round));
      delays.add(load, contestant, await delayOf(app, moments, primary));
    }
  }
}

/** By contestant and route. */
async function serveInTurns(
  apps: RunningApps,
  { blocks, requestsOfBlock }: Effort,
  random: () => number,
): Promise<ReadonlyMap<Contestant, ReadonlyMap<Route, readonly Block[]>>> {
  const served = new Map<Contestant, Map<Route, Block[]>>();
  const turns = Array.from({ length: blocks }, () => shuffled(routes, random)).flat();
  for (const route of turns) {
    for (const [contestant, app] of shuffled([...apps.all], random)) {
      const ofApp = served.get(contestant) ?? new Map<Route, Block[]>();
      served.set(contestant, ofApp);
      ofApp.set(route, [...(ofApp.get(route) ?? []), await app.serve(route, requestsOfBlock)]);
    }
  }
  return served;
}
