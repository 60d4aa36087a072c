/** Decides whether a reply may mean that a key is missing. */
import type { Command } from "ioredis";
import { keyCount } from "./command-kind.js";

const nothingThere: ReadonlySet<unknown> = new Set([null, undefined, 0, -1, -2, false, "0", "-1", "-2", ""]);

/** Commands whose replies show each key separately, so that the reply for several keys can be judged. */
const perKey = new Set(["mget", "exists"]);

/**
 * Whether `reply` may mean that a key is missing. `reply` is as the server sent it. With several keys, one missing key is enough.
 * For scripts, and for most commands with several keys, the reply does not show whether a key is missing.
 */
export function mayBeMissingKey(command: Command, reply: unknown): boolean {
  if (cannotShowMissingKey(command)) return true;
  const name = command.name.toLowerCase();
  if (name === "exists" && Number(reply) < keyCount(command)) return true;
  // TYPE replies "none" for a missing key.
  if (Buffer.isBuffer(reply)) return reply.length === 0 || (name === "type" && String(reply) === "none");
  if (reply === "none") return name === "type";
  if (reply instanceof Map || reply instanceof Set) return reply.size === 0;
  if (!Array.isArray(reply)) return nothingThere.has(reply);
  return name === "mget" ? reply.includes(null) : reply.every((one) => nothingThere.has(one));
}

/** Whether the reply can never show that all keys existed. */
export function cannotShowMissingKey(command: Command): boolean {
  const name = command.name.toLowerCase();
  if (perKey.has(name)) return false;
  return keyCount(command) !== 1 || /^(eval|fcall)/.test(name);
}
