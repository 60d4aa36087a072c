/** Decides which of the announced servers Tidemark connects to, and at which address it reaches them. */
import { isIPv6 } from "node:net";
import type { NatMap, RedisOptions } from "ioredis";
import type { Endpoint } from "../address.js";
import type { Accept } from "../shard/shard-options.js";

/** The most replicas of one primary that Tidemark connects to, and the most Sentinels. */
export const maxFollowed = 100;
/** The most shards of a cluster that Tidemark connects to. */
export const maxShards = 1_000;

/** The most warnings about refused addresses, so that nobody can flood the log. */
const maxRefusals = 10;

/**
 * The servers that other servers announce and that the user has not given. Tidemark sends its password to each server that it
 * connects to, so `accept` may refuse addresses.
 */
export class AnnouncedAddresses {
  readonly #common: RedisOptions;
  readonly #natMap: NatMap | undefined;
  readonly #accept: Accept | undefined;
  /** The addresses that a warning was given for. */
  readonly #refused = new Set<string>();
  #hasWarnedOfMany = false;

  /** `common` are the options of all connections to announced servers. */
  constructor(common: RedisOptions, natMap: NatMap | undefined, accept: Accept | undefined) {
    this.#common = common;
    this.#natMap = natMap;
    this.#accept = accept;
  }

  /**
   * The options to connect to an announced server, at the address that `natMap` gives for it. Undefined if the server is not
   * accepted.
   */
  reach({ host, port }: Endpoint): RedisOptions | undefined {
    const announced = `${host}:${port}`;
    const natMap = this.#natMap;
    try {
      const at = (typeof natMap === "function" ? natMap(announced) : natMap?.[announced]) ?? { host, port };
      const isAccepted: unknown = this.#accept === undefined || this.#accept(at.host, at.port);
      if (isAccepted === true) {
        const { path: _socket, ...rest } = this.#common;
        return { ...rest, ...at, ...(isIPv6(at.host) ? { family: 6 } : {}) };
      }
      const why = isAccepted === false ? "accept() returned false" : "accept() must return true or false";
      this.#warnOfRefusal(announced, `${why}. Return true if the server is yours`);
    } catch (error) {
      const why = error instanceof Error ? error.message : "unknown";
      this.#warnOfRefusal(
        announced,
        `your accept() or natMap() threw an error: ${why}. Correct that function`,
      );
    }
    return undefined;
  }

  /** The options for those of the first `maxFollowed` servers that are accepted. `what` names the servers in the warning. */
  reachAll(servers: readonly Endpoint[], what: string): RedisOptions[] {
    if (servers.length > maxFollowed) this.warnOfMany(what, maxFollowed);
    return servers.slice(0, maxFollowed).flatMap((server) => this.reach(server) ?? []);
  }

  /** Warns once that more than `most` servers were announced. */
  warnOfMany(what: string, most: number): void {
    if (this.#hasWarnedOfMany) return;
    this.#hasWarnedOfMany = true;
    this.#warn(
      "TIDEMARK_TOO_MANY_SERVERS",
      `Servers announced more than ${most} ${what}, so Tidemark ignores the rest. Check which server announces them.`,
    );
  }

  /** Warns once about each refused address, until `maxRefusals` warnings were given. */
  #warnOfRefusal(announced: string, why: string): void {
    if (this.#refused.has(announced) || this.#refused.size >= maxRefusals) return;
    this.#refused.add(announced);
    this.#warn(
      "TIDEMARK_SERVER_REFUSED",
      `Tidemark does not connect to ${announced}, which another server announced: ${why}.`,
    );
  }

  #warn(code: string, message: string): void {
    process.emitWarning(message, { type: "TidemarkWarning", code });
  }
}
