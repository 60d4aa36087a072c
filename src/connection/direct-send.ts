/**
 * Hands usual commands to a ready client of ioredis without the checks that ioredis makes for unusual ones. They cost as much as
 * the rest of a send.
 */
import { tracingChannel } from "node:diagnostics_channel";
import { Command, type Redis } from "ioredis";
import type { CommandStream } from "./auto-pipeline.js";

/** For commands with one of these flags, ioredis does more than to write them. */
const unusualFlags = [
  "BLOCKING_COMMANDS",
  "ENTER_SUBSCRIBER_MODE",
  "EXIT_SUBSCRIBER_MODE",
  "HANDSHAKE_COMMANDS",
  "WILL_DISCONNECT",
] as const;
const unusualNames: ReadonlySet<string> = new Set(["himport", "monitor"]);
/** INFO is part of the handshake, but on a ready connection it is a command like any other. */
const usualNames: ReadonlySet<string> = new Set(["info"]);

const areUsual = new Map<string, boolean>();
const maxNames = 512;

const traced = tracingChannel("ioredis:command");
/** Whether someone traces the commands of ioredis. Undefined in a Node that cannot tell counts as traced. */
export function areCommandsTraced(): boolean {
  return traced.hasSubscribers !== false;
}

/** ioredis logs each command if it runs with `DEBUG`. */
const isLogged = process.env.DEBUG !== undefined;

/**
 * Sends `command` as ioredis would, if nothing but writing it is left to do: the connection is ready, without subscriptions, and
 * nobody traces commands. Returns whether it was sent. `buffer` takes the bytes if it is given.
 */
export function sendDirectly(redis: Redis, command: Command, buffer: CommandStream | undefined): boolean {
  const { stream, condition } = redis;
  if (isLogged || redis.status !== "ready" || condition === null || condition.subscriber) return false;
  if (!isUsual(command.name) || !stream.writable || redis.options.socketTimeout !== undefined) return false;
  if (areCommandsTraced()) return false;
  // ioredis 5 decodes all replies in the same way.
  command.setReplyContext?.(condition);
  const target = buffer ?? stream;
  target.write(command.toWritable(stream));
  redis.commandQueue.push({ command, stream: target, select: condition.select });
  return true;
}

function isUsual(name: string): boolean {
  let known = areUsual.get(name);
  if (known === undefined) {
    const lower = name.toLowerCase();
    known =
      usualNames.has(lower) ||
      (!unusualNames.has(lower) && unusualFlags.every((flag) => !Command.checkFlag(flag, lower)));
    if (areUsual.size >= maxNames) areUsual.clear();
    areUsual.set(name, known);
  }
  return known;
}
