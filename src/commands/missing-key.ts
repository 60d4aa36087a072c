/** Replies that a missing key would have been answered with too. */
import type { Command } from "ioredis";
import { keysOf } from "./command-kind.js";

const nothingThere: ReadonlySet<unknown> = new Set([null, undefined, 0, -1, -2, false, "0", "-1", "-2", ""]);

/** Whose replies tell of each key, so that those of several keys can be judged. */
const perKey = new Set(["mget", "exists"]);

/**
 * Whether `reply`, as it came from the server, may be that of a missing key, or misses one of several. Replies of scripts,
 * and of most commands over several keys, cannot be told from those.
 */
export function mayMiss(command: Command, reply: unknown): boolean {
  if (isUnjudgeable(command)) return true;
  const name = command.name.toLowerCase();
  if (name === "exists" && Number(reply) < keysOf(command)) return true;
  // TYPE has a word for it.
  if (Buffer.isBuffer(reply)) return reply.length === 0 || (name === "type" && String(reply) === "none");
  if (reply === "none") return name === "type";
  if (reply instanceof Map || reply instanceof Set) return reply.size === 0;
  if (!Array.isArray(reply)) return nothingThere.has(reply);
  return name === "mget" ? reply.includes(null) : reply.every((one) => nothingThere.has(one));
}

/** Whether no reply can tell that all keys were there. */
export function isUnjudgeable(command: Command): boolean {
  const name = command.name.toLowerCase();
  if (perKey.has(name)) return false;
  return keysOf(command) !== 1 || /^(eval|fcall)/.test(name);
}
