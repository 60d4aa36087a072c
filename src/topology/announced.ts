/** Servers by the addresses they announce, which need not be those they can be reached at. */
import { isIPv6 } from "node:net";
import type { NatMap, RedisOptions } from "ioredis";
import type { Endpoint } from "../address.js";

/** Options to connect to an announced server: those of all connections, at the address it has from here. */
export function announcedServer(
  { host, port }: Endpoint,
  common: RedisOptions,
  natMap: NatMap | undefined,
): RedisOptions {
  const announced = `${host}:${port}`;
  const seen = typeof natMap === "function" ? natMap(announced) : natMap?.[announced];
  const { path: _socket, ...rest } = common;
  const at = seen ?? { host, port };
  return { ...rest, ...at, ...(isIPv6(at.host) ? { family: 6 } : {}) };
}
