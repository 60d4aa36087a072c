/** Servers that fail at random, by a seed, under users who check every read. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type CommonOptions, type RouteMessage, Tidemark } from "../../../src/index.js";
import { primaryFaults, replicaFaults, type Scene } from "./chaos-faults.js";
import { Fleet, type Member } from "./chaos-fleet.js";
import { type StaleRead, Users } from "./chaos-users.js";
import { seeded } from "./seeded.js";

export interface ChaosOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly tidemark?: CommonOptions;
  /** Names of the faults; all if left out. */
  readonly faults?: readonly string[];
  /** Called with each fault as it begins. */
  readonly onFault?: (fault: string) => void;
}

export interface ChaosReport {
  readonly reads: number;
  readonly writes: number;
  /** Reads that showed what a failover had left. */
  readonly lost: number;
  readonly stale: readonly StaleRead[];
  /** How many reads failed, by the code of the error. */
  readonly failedReads: Readonly<Record<string, number>>;
  readonly failedWrites: Readonly<Record<string, number>>;
  /** How many of all reads went to replicas first. */
  readonly onReplicas: number;
  /** How often each fault happened. */
  readonly faults: Readonly<Record<string, number>>;
  /** The writes that Tidemark reported as lost. */
  readonly lostWrites: number;
}

const users = 256;
const sideBySide = 64;

/** Resolves when `seconds` are over and everything is in its place again. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const random = seeded(options.seed);
  await using fleet = await Fleet.start(3);
  const tidemarks = [0, 1].map(() => new Tidemark({ ...fleet.urls, ...options.tidemark }));
  let fault = "none";
  let [reads, onReplicas] = [0, 0];
  let last: RouteMessage | undefined;
  const routed = (message: unknown): void => {
    last = message as RouteMessage;
    if (last.command !== "get") return;
    reads += 1;
    if (last.role === "replica") onReplicas += 1;
  };
  subscribe("tidemark:route", routed);
  const all = new Users(tidemarks, users, {
    random: seeded(options.seed + 1),
    route: () => (last === undefined ? "nowhere" : `${last.role}:${last.reason} ${last.node}`),
    during: () => fault,
  });
  const scene: Scene = {
    fleet,
    between: (least, most) => least + Math.floor(random() * (most - least + 1)),
    loseWrites: (change) =>
      all.lose(change, async () => {
        const values = await fleet.primary.server.admin().mget(...all.keys);
        return new Map(all.keys.map((key, i) => [key, Number(values[i])]));
      }),
  };
  const faults: Record<string, number> = {};
  const begin = (names: string): void => {
    fault = names;
    options.onFault?.(names);
    for (const name of names.split("+")) faults[name] = (faults[name] ?? 0) + 1;
  };
  try {
    await Promise.all(tidemarks.map((tidemark) => tidemark.ready()));
    const browsing = all.browse(sideBySide);
    const until = performance.now() + options.seconds * 1_000;
    try {
      while (performance.now() < until) await next(scene, options.faults, begin);
    } finally {
      all.isOver = true;
    }
    await browsing;
  } finally {
    unsubscribe("tidemark:route", routed);
    await Promise.all(tidemarks.map((tidemark) => tidemark.close()));
  }
  return {
    ...{ reads: all.reads, writes: all.writes, lost: all.lost, stale: all.stale, faults },
    failedReads: Object.fromEntries(all.failedReads),
    failedWrites: Object.fromEntries(all.failedWrites),
    onReplicas: onReplicas / reads,
    lostWrites: tidemarks.reduce((sum, { lostWrites }) => sum + lostWrites, 0),
  };
}

/** One fault of the primary, or up to two of different replicas at once. */
async function next(
  scene: Scene,
  only: readonly string[] | undefined,
  begin: (names: string) => void,
): Promise<void> {
  const { fleet, between } = scene;
  const isMeant = ([name]: readonly [string, unknown]): boolean => only === undefined || only.includes(name);
  const ofPrimary = Object.entries(primaryFaults).filter(isMeant);
  const ofReplicas = Object.entries(replicaFaults).filter(isMeant);
  const [one, other, sibling] = shuffled(fleet.replicas, between);
  if (one === undefined || other === undefined || sibling === undefined) throw new Error("too few replicas");
  if (ofReplicas.length === 0 || (ofPrimary.length > 0 && between(1, 5) === 1)) {
    const [name, change] = ofPrimary[between(0, ofPrimary.length - 1)] ?? [];
    if (name === undefined || change === undefined) throw new Error("no such fault");
    begin(name);
    await change(scene, one);
    return;
  }
  const chosen = [one, other].slice(0, between(1, 2)).map((replica) => {
    const [name, change] = ofReplicas[between(0, ofReplicas.length - 1)] ?? [];
    if (name === undefined || change === undefined) throw new Error("no such fault");
    return { name, start: () => change(scene, replica, sibling) };
  });
  begin(chosen.map(({ name }) => name).join("+"));
  await Promise.all(chosen.map(({ start }) => start()));
}

function shuffled(members: readonly Member[], between: Scene["between"]): Member[] {
  const rest = [...members];
  return members.flatMap(() => rest.splice(between(0, rest.length - 1), 1));
}
