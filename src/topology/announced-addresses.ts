/** Servers by the addresses they announce: which are followed, and where they can be reached. */
import { isIPv6 } from "node:net";
import type { NatMap, RedisOptions } from "ioredis";
import type { Endpoint } from "../address.js";
import type { Accept } from "../shard/shard-options.js";

/** So many replicas of one primary are followed, and as many Sentinels. */
export const maxFollowed = 100;
/** So many shards of a cluster are followed. */
export const maxShards = 1_000;

/** So many refused addresses are warned of, so that nobody can flood the log. */
const maxRefusals = 10;

/** Servers that nobody has given by themselves: each is sent the password, so not any address will do. */
export class AnnouncedAddresses {
  readonly #common: RedisOptions;
  readonly #natMap: NatMap | undefined;
  readonly #accept: Accept | undefined;
  /** The addresses that were warned of. */
  readonly #refused = new Set<string>();
  #saidMany = false;

  /** `common` are the options of all connections to such servers. */
  constructor(common: RedisOptions, natMap: NatMap | undefined, accept: Accept | undefined) {
    this.#common = common;
    this.#natMap = natMap;
    this.#accept = accept;
  }

  /** Options to connect to an announced server, at the address it has from here; undefined when it is not accepted. */
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
      this.#warnOfRefusal(announced, `${why}. If the server is yours, return true for it`);
    } catch (error) {
      const why = error instanceof Error ? error.message : "unknown";
      this.#warnOfRefusal(announced, `accept or natMap threw (${why})`);
    }
    return undefined;
  }

  /** Those of `servers` that are accepted, as far as there is room for them; `what` names them in the warning. */
  reachAll(servers: readonly Endpoint[], what: string): RedisOptions[] {
    if (servers.length > maxFollowed) this.warnOfMany(what, maxFollowed);
    return servers.slice(0, maxFollowed).flatMap((server) => this.reach(server) ?? []);
  }

  /** Warns once that more than `most` of these were announced. */
  warnOfMany(what: string, most: number): void {
    if (this.#saidMany) return;
    this.#saidMany = true;
    this.#warn(
      "TIDEMARK_TOO_MANY_SERVERS",
      `More than ${most} ${what} were announced; Tidemark does not connect to the others.`,
    );
  }

  /** Warns once of each address. */
  #warnOfRefusal(announced: string, why: string): void {
    if (this.#refused.has(announced) || this.#refused.size >= maxRefusals) return;
    this.#refused.add(announced);
    this.#warn(
      "TIDEMARK_SERVER_REFUSED",
      `Tidemark does not connect to ${announced}, which another server names: ${why}.`,
    );
  }

  #warn(code: string, message: string): void {
    process.emitWarning(message, { type: "TidemarkWarning", code });
  }
}
