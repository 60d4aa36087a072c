/** Where servers are, as people and servers write it. */
import type { RedisOptions } from "ioredis";

/** Where a server says that another one is. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** A name or an address, with or without brackets; the longest host names have 253 characters. */
const hosts = /^[\w.:%[\]-]{1,255}$/;
const ports = /^[1-9]\d{0,4}$/;
const maxPort = 65_535;

/** `host:port`, or the path of its socket. */
export function addressOf({ path, host = "localhost", port = 6379 }: RedisOptions): string {
  return path ?? `${host}:${port}`;
}

/** What a server has said of another one's address; undefined when that is no host or no port. */
export function endpointOf(host: unknown, port: unknown): Endpoint | undefined {
  if (typeof host !== "string" || !hosts.test(host)) return undefined;
  if (typeof port !== "number" && (typeof port !== "string" || !ports.test(port))) return undefined;
  const number = Number(port);
  const isPort = Number.isInteger(number) && number > 0 && number <= maxPort;
  return isPort ? { host, port: number } : undefined;
}
