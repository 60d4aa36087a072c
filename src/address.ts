/** Formats and parses the addresses of servers, as people and servers write them. */
import type { RedisOptions } from "ioredis";

/** The address of a server, as another server reports it. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** A name or an address, with or without brackets. The longest host names have 253 characters. */
const hosts = /^[\w.:%[\]-]{1,255}$/;
const ports = /^[1-9]\d{0,4}$/;
const maxPort = 65_535;

/** `host:port`, or the path of the server's socket. */
export function addressOf({ path, host = "localhost", port = 6379 }: RedisOptions): string {
  return path ?? `${host}:${port}`;
}

/** The address that a server reports for another server. Undefined if `host` or `port` is not valid. */
export function endpointOf(host: unknown, port: unknown): Endpoint | undefined {
  if (typeof host !== "string" || !hosts.test(host)) return undefined;
  if (typeof port !== "number" && (typeof port !== "string" || !ports.test(port))) return undefined;
  const number = Number(port);
  const isPort = Number.isInteger(number) && number > 0 && number <= maxPort;
  return isPort ? { host, port: number } : undefined;
}
