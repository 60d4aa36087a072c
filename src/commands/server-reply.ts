/**
 * What a server says instead of carrying a command out, in the words of Redis and Valkey. A script may return an error of any
 * text, so the first word alone means little, and of a script even the whole text is only a hint.
 */

import type { Command } from "ioredis";
import { type Endpoint, endpointOf } from "../address.js";
import { keyCount, provesPrimary } from "./command-kind.js";

const refusals =
  /^(READONLY|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN|NOAUTH|EXECABORT|NOREPLICAS|BUSY|UNBLOCKED)\b/;

const readOnly = /^READONLY (You can't write against a |Can not run script with write flag on )/;
const noData = /^(LOADING \w+ is loading the dataset in memory|MASTERDOWN Link with \w+ is down)/;
const target = /^(MOVED|ASK) (\d{1,5}) (\S{0,255}):(\d{1,5})$/;
const instability =
  /^(TRYAGAIN Multiple keys request during rehashing of slot|CLUSTERDOWN (The cluster is down|Hash slot not served))/;
const demotion =
  /^(UNBLOCKED force unblock from blocking operation, instance state changed|EXECABORT Transaction discarded because of: READONLY )/;

/** What a replica of Redis 6 makes of a write in a script; the first part is missing when the script itself hands it on. */
const inScript =
  /^(ERR Error running script \(call to f_[0-9a-f]{40}\): @user_script:\d+: )?@user_script: \d+: -READONLY You can't write against a /;

const stateErrors = /^(LOADING|MASTERDOWN|BUSY|NOAUTH|WRONGPASS|EXECABORT)\b/;

/** Whether a server says so when its state, not the command, is the matter. */
export function isStateError({ message }: Error): boolean {
  return stateErrors.test(message);
}

/** Whether a server says so when its ACL forbids the user a command or a key. */
export function isDenial({ message }: Error): boolean {
  return message.startsWith("NOPERM");
}

/** Whether a server says so when a command has changed nothing. */
export function wasNotExecuted(error: Error): boolean {
  return refusals.test(error.message) || isReadOnlyError(error);
}

/** Whether a node of a cluster says so when it does not serve the key's slot, or not now. */
export function isRedirection(error: Error): boolean {
  return instability.test(error.message) || targetIn(error) !== undefined;
}

/** Where MOVED or ASK sends a command. */
export interface Target {
  readonly kind: "MOVED" | "ASK";
  /** At most 99,999: whether there is such a slot is not known here. */
  readonly slot: number;
  /** Undefined where the node does not know the other one's host. */
  readonly endpoint: Endpoint | undefined;
}

/** Where `message` sends a command; undefined for an error that is none of these, or names no address. */
export function targetIn({ message }: Error): Target | undefined {
  const [, kind, slot, host = "", port] = target.exec(message) ?? [];
  const endpoint = endpointOf(host, port);
  if (kind === undefined || (endpoint === undefined && host !== "")) return undefined;
  return { kind: kind === "ASK" ? "ASK" : "MOVED", slot: Number(slot), endpoint };
}

/**
 * Whether a server with an open connection says so when it was made a replica: it takes no writes, or has no data to show
 * until it has synchronised with its primary.
 */
export function isOfReplica(error: Error): boolean {
  return isReadOnlyError(error) || noData.test(error.message);
}

/** Whether a server says so when it takes no writes, because it is a replica. */
export function isReadOnlyError({ message }: Error): boolean {
  return readOnly.test(message) || inScript.test(message);
}

/** Whether a server says so when it has not carried out a command because it is a replica now. */
export function isDemotion(error: Error): boolean {
  // Redis ends the wait of those who block when it is made a replica, and aborts a transaction that was queued before.
  return isReadOnlyError(error) || demotion.test(error.message);
}

/** Whether a server, not a script, says with `error` that it is a replica. */
export function isWordOfReplica({ name }: Command, error: Error): boolean {
  return provesPrimary(name) && isReadOnlyError(error);
}

/** Whether a server refused to carry a command out because it is no primary, so that another one may be asked. */
export function mayRetryElsewhere(error: Error): boolean {
  return error.name === "ReplyError" && isOfReplica(error);
}

const nothingThere: ReadonlySet<unknown> = new Set([null, undefined, 0, -1, -2, false, "0", "-1", "-2", ""]);

/** Whose replies tell of each key, so that those of several keys can be judged. */
const perKey = new Set(["mget", "exists"]);

/**
 * Whether `reply`, as it came from the server, may be that of a missing key, or misses one of several. Replies of scripts,
 * and of most commands over several keys, cannot be told from those.
 */
export function mayBeMissingKey(command: Command, reply: unknown): boolean {
  if (cannotShowMissingKey(command)) return true;
  const name = command.name.toLowerCase();
  if (name === "exists" && Number(reply) < keyCount(command)) return true;
  // TYPE has a word for it.
  if (Buffer.isBuffer(reply)) return reply.length === 0 || (name === "type" && String(reply) === "none");
  if (reply === "none") return name === "type";
  if (reply instanceof Map || reply instanceof Set) return reply.size === 0;
  if (!Array.isArray(reply)) return nothingThere.has(reply);
  return name === "mget" ? reply.includes(null) : reply.every((one) => nothingThere.has(one));
}

/** Whether no reply can tell that all keys were there. */
export function cannotShowMissingKey(command: Command): boolean {
  const name = command.name.toLowerCase();
  if (perKey.has(name)) return false;
  return keyCount(command) !== 1 || /^(eval|fcall)/.test(name);
}
