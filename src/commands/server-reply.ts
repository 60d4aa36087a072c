/**
 * Recognises errors with which Redis and Valkey decline a command. A script may return an error with any text, so the first word
 * alone proves little. From a script, even the whole text is only a hint.
 */

import type { Command } from "ioredis";
import { type Endpoint, endpointOf } from "../address.js";
import { provesPrimary } from "./command-kind.js";

const refusals =
  /^(READONLY|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|MASTERDOWN|NOAUTH|EXECABORT|NOREPLICAS|BUSY|UNBLOCKED)\b/;

const readOnly = /^READONLY (You can't write against a |Can not run script with write flag on )/;
const noData = /^(LOADING \w+ is loading the dataset in memory|MASTERDOWN Link with \w+ is down)/;
const target = /^(MOVED|ASK) (\d{1,5}) (\S{0,255}):(\d{1,5})$/;
const instability =
  /^(TRYAGAIN Multiple keys request during rehashing of slot|CLUSTERDOWN (The cluster is down|Hash slot not served))/;
const demotion =
  /^(UNBLOCKED force unblock from blocking operation, instance state changed|EXECABORT Transaction discarded because of: READONLY )/;

/**
 * The error of a Redis 6 replica for a write inside a script. The first part is missing if the script itself returns the error.
 */
const inScript =
  /^(ERR Error running script \(call to f_[0-9a-f]{40}\): @user_script:\d+: )?@user_script: \d+: -READONLY You can't write against a /;

const stateErrors = /^(LOADING|MASTERDOWN|BUSY|NOAUTH|WRONGPASS|EXECABORT)\b/;

/** Whether the error is about the server's state and not about the command. */
export function isStateError({ message }: Error): boolean {
  return stateErrors.test(message);
}

/** Whether the server's ACL forbids the user a command or a key. */
export function isDenial({ message }: Error): boolean {
  return message.startsWith("NOPERM");
}

/** Whether the error proves that the command changed nothing. */
export function wasNotExecuted(error: Error): boolean {
  return refusals.test(error.message) || isReadOnlyError(error);
}

/** Whether a cluster node says that it does not serve the key's slot, or does not serve it now. */
export function isRedirection(error: Error): boolean {
  return instability.test(error.message) || targetIn(error) !== undefined;
}

/** The target of a MOVED or ASK. */
export interface Target {
  readonly kind: "MOVED" | "ASK";
  /** At most 99,999. This code does not check whether the slot exists. */
  readonly slot: number;
  /** Undefined if the node does not know the other node's host. */
  readonly endpoint: Endpoint | undefined;
}

/** The target that `message` redirects to. Undefined for other errors, and for a redirection whose address is not valid. */
export function targetIn({ message }: Error): Target | undefined {
  const [, kind, slot, host = "", port] = target.exec(message) ?? [];
  const endpoint = endpointOf(host, port);
  if (kind === undefined || (endpoint === undefined && host !== "")) return undefined;
  return { kind: kind === "ASK" ? "ASK" : "MOVED", slot: Number(slot), endpoint };
}

/**
 * Whether a server reports that it was made a replica while the connection stayed open. Such a server refuses writes, or has no
 * data to show until it has synchronised with its primary.
 */
export function isOfReplica(error: Error): boolean {
  return isReadOnlyError(error) || noData.test(error.message);
}

/** Whether a server reports that it refuses writes because it is a replica. */
export function isReadOnlyError({ message }: Error): boolean {
  return readOnly.test(message) || inScript.test(message);
}

/** Whether a server reports that it did not run a command because it is now a replica. */
export function isDemotion(error: Error): boolean {
  // A server that becomes a replica ends the wait of blocked clients. It also aborts transactions that were queued before.
  return isReadOnlyError(error) || demotion.test(error.message);
}

/** Whether `error` reports that the server is a replica, and comes from the server and not from a script. */
export function isWordOfReplica({ name }: Command, error: Error): boolean {
  return provesPrimary(name) && isReadOnlyError(error);
}

/** Whether a server refused a command because it is not a primary, so that the command may be sent to another server. */
export function mayRetryElsewhere(error: Error): boolean {
  return error.name === "ReplyError" && isOfReplica(error);
}
