/** The requests of many users with their times, the same again for the same seed. */
import { seeded } from "../../test/support/load/seeded.js";

/** `touch` writes the value that the key has already. `incr` makes another value of it. */
export interface Operation {
  readonly name: "get" | "incr" | "touch";
  readonly key: string;
}

export interface Request {
  /** When the user sends it, in milliseconds since the start. */
  readonly at: number;
  /** The operations of a step are given together. The next step waits for them. */
  readonly steps: readonly (readonly Operation[])[];
}

/** The requests of each user, in order. */
export type Load = readonly (readonly Request[])[];

export const users = 60;
const shortestThinkMs = 5;
const longestThinkMs = 3_000;
const sharedKeys = 20;

export function settingOf(user: number): string {
  return `setting:${user}`;
}

/** The load of `forMs` milliseconds. */
export function loadOf(seed: number, forMs: number): Load {
  const random = seeded(seed);
  return Array.from({ length: users }, (_, user) => {
    const requests: Request[] = [];
    for (let at = thinkMs(random) * random(); at < forMs; at += thinkMs(random))
      requests.push({ at, steps: stepsOf(user, random) });
    return requests;
  });
}

/** Users answer at once as often as they leave for a while. */
function thinkMs(random: () => number): number {
  return shortestThinkMs * (longestThinkMs / shortestThinkMs) ** random();
}

function stepsOf(user: number, random: () => number): readonly (readonly Operation[])[] {
  const kind = random();
  const key = keyOf(user, random);
  const get = (of: string): Operation => ({ name: "get", key: of });
  if (kind < 0.35) {
    const write: Operation = { name: key === settingOf(user) ? "touch" : "incr", key };
    const behind = random();
    if (behind < 0.15) return [[write, get(key)]];
    return behind < 0.5 ? [[write], [get(key)]] : [[write]];
  }
  if (kind < 0.6) return [[get(key)]];
  if (kind < 0.8) return [[get(key), get(otherKey(user, random))]];
  return [[get(key)], [get(otherKey(user, random))], [get(keyOf(user, random))]];
}

/** A key that the user writes: the user's own, or one that others write too. */
function keyOf(user: number, random: () => number): string {
  const kind = random();
  if (kind < 0.6) return `own:${user}`;
  return kind < 0.8 ? settingOf(user) : `shared:${Math.floor(random() * sharedKeys)}`;
}

function otherKey(user: number, random: () => number): string {
  return `own:${(user + 1 + Math.floor(random() * (users - 1))) % users}`;
}

/** How many reads there are, and how many of them read a key that their user has written before. */
export function countReads(load: Load): { readonly reads: number; readonly requiring: number } {
  const counts = { reads: 0, requiring: 0 };
  for (const requests of load) {
    const written = new Set<string>();
    for (const { name, key } of requests.flatMap(({ steps }) => steps.flat())) {
      if (name !== "get") written.add(key);
      else {
        counts.reads += 1;
        if (written.has(key)) counts.requiring += 1;
      }
    }
  }
  return counts;
}
