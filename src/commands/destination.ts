/** Which server a command was sent to last. This is recorded only for commands that need it. */
import type { Command, RedisOptions } from "ioredis";

const servers = new WeakMap<Command, RedisOptions | undefined>();

/** Records from now on where `command` is sent. */
export function trackDestination(command: Command): void {
  servers.set(command, undefined);
}

/** Called with every command that is sent to a primary. */
export function sentTo(command: Command, server: RedisOptions): void {
  if (servers.has(command)) servers.set(command, server);
}

/** The server that `command` was sent to last. Undefined when it is not tracked, or was not sent. */
export function destinationOf(command: Command): RedisOptions | undefined {
  return servers.get(command);
}
