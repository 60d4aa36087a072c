/** Options of ioredis that a Tidemark cannot take, and what to give instead. */
import type { RedisOptions } from "ioredis";
import { InvalidOptionError } from "./errors.js";

interface Refusal {
  readonly isMeant: (value: unknown) => boolean;
  readonly remedy: string;
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null && value !== false;

/** Ignored, each of these would have commands go where the user does not mean them to. */
const anywhere: Readonly<Record<string, Refusal>> = {
  monitor: { isMeant: isGiven, remedy: "leave it out, and call tidemark.redis.monitor()" },
  readOnly: {
    isMeant: isGiven,
    remedy: "leave it out: Tidemark sends READONLY on the connections that need it",
  },
  role: {
    isMeant: (role) => isGiven(role) && role !== "master",
    remedy: "leave it out: the level of a read decides which server answers",
  },
  preferredSlaves: { isMeant: isGiven, remedy: "give weights, or zone, to prefer some replicas" },
  himportFieldsets: {
    isMeant: (fieldsets) => Array.isArray(fieldsets) && fieldsets.length > 0,
    remedy: "give it to a client of its own: tidemark.redis.duplicate({ himportFieldsets })",
  },
};

/** These say where one server is, or how to find it, and `redis` is for all. */
const common: Readonly<Record<string, Refusal>> = {
  sentinels: { isMeant: isGiven, remedy: "give { sentinels, name } beside redis" },
  name: { isMeant: isGiven, remedy: "give { sentinels, name } beside redis" },
  path: { isMeant: isGiven, remedy: "give it for one server, like { primary: { path } }" },
};

/** Checks the options of one server, which `option` names in the error. */
export function refuseOptions(option: string, options: RedisOptions): void {
  refuse(option, options, anywhere);
}

/** Checks the options that are for all servers. */
export function refuseCommonOptions(options: RedisOptions): void {
  refuse("redis", options, { ...anywhere, ...common });
}

function refuse(option: string, options: RedisOptions, refusals: Readonly<Record<string, Refusal>>): void {
  for (const [name, { isMeant, remedy }] of Object.entries(refusals)) {
    const value: unknown = Reflect.get(options, name);
    if (isMeant(value)) throw new InvalidOptionError(`${option}.${name}`, value, remedy);
  }
}
