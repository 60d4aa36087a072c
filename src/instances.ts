/**
 * Counts the Tidemarks in a process that use the same servers, because a module that is loaded again leaks a Tidemark each time.
 */
import type { RedisOptions } from "ioredis";
import { addressOf } from "./address.js";
import type { Servers } from "./options/server-options.js";

/** This many open Tidemarks for the same servers in one process are probably a mistake. */
const suspicious = 4;

/**
 * The Tidemarks with the same servers that are not closed. The references are weak, because an unreferenced Tidemark is no leak.
 */
type Alive = Set<WeakRef<object>>;

const place = Symbol.for("tidemark.instances");

/**
 * The open Tidemarks by their servers. The map is a property of `globalThis`, because a module that is loaded again brings its
 * own copy of this file.
 */
function allAlive(): Map<string, Alive> {
  const kept: unknown = Reflect.get(globalThis, place);
  if (kept instanceof Map) return kept;
  const all = new Map<string, Alive>();
  Reflect.set(globalThis, place, all);
  return all;
}

export class Instance {
  readonly #servers: string;
  readonly #self: WeakRef<object>;

  constructor(tidemark: object, servers: Servers) {
    this.#servers = nameOf(servers);
    this.#self = new WeakRef(tidemark);
  }

  /** Counts this Tidemark as open. Warns if too many Tidemarks for the same servers are open now. */
  begin(): void {
    const all = allAlive();
    const alive = all.get(this.#servers) ?? new Set();
    all.set(this.#servers, alive);
    for (const one of alive) if (one.deref() === undefined) alive.delete(one);
    const before = alive.size;
    alive.add(this.#self);
    if (before < suspicious && alive.size === suspicious) warn(this.#servers);
  }

  end(): void {
    const all = allAlive();
    const alive = all.get(this.#servers);
    alive?.delete(this.#self);
    if (alive?.size === 0) all.delete(this.#servers);
  }
}

/** Names servers by their addresses alone, because the name must not contain a password. */
function nameOf(servers: Servers): string {
  const list = (all: readonly RedisOptions[]): string =>
    all
      .map((one) => addressOf(one))
      .sort()
      .join(", ");
  if (servers.kind === "sentinel") return `${servers.name} of the Sentinels ${list(servers.sentinels)}`;
  if (servers.kind === "cluster") return `the cluster of ${list(servers.seeds)}`;
  return `the primary ${addressOf(servers.primary)}`;
}

function warn(servers: string): void {
  process.emitWarning(`${suspicious} Tidemarks for ${servers} are open in this process.`, {
    type: "TidemarkWarning",
    code: "TIDEMARK_MANY_INSTANCES",
    detail:
      "Each has its own connections. Create one when the process starts, share it, and close the others. " +
      "If a development server reloads modules, keep the first one: globalThis.tidemark ??= new Tidemark({ … }).",
  });
}
