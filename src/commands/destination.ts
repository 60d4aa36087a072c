/** Records which server a command was last sent to, for the few commands that need it. */
import type { Command, RedisOptions } from "ioredis";

const servers = new WeakMap<Command, RedisOptions | undefined>();

/** Records from now on where `command` is sent. */
export function trackDestination(command: Command): void {
  servers.set(command, undefined);
}

/** The sender calls this with every command that it sends to a primary. */
export function sentTo(command: Command, server: RedisOptions): void {
  if (servers.has(command)) servers.set(command, server);
}

/** The server that `command` was last sent to. Undefined if the command is not tracked or was not sent. */
export function destinationOf(command: Command): RedisOptions | undefined {
  return servers.get(command);
}
