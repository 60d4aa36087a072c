/** Parses the reply of `INFO replication` into a server's role, position and replicas. */
import { type Endpoint, endpointOf } from "../address.js";

/** The history that a node's own history grew out of, and the first offset that they do not share. */
export interface ParentHistory {
  readonly replid: string;
  readonly divergesAt: number;
}

interface Common {
  readonly replid: string;
  readonly ancestor: ParentHistory | undefined;
  readonly backlogActive: boolean;
}

/** A node as it reported itself. `offset` is the position that a primary has written, or that a replica has applied. */
export type ReplicationInfo =
  | (Common & { readonly role: "primary"; readonly offset: number })
  | (Common & {
      readonly role: "replica";
      readonly offset: number;
      readonly linkUp: boolean;
      readonly syncing: boolean;
    });

const replidDigits = 16;
const fullReplid = /^[0-9a-f]{40}$/;
const noReplid = "0".repeat(40);
/**
 * Tokens use such an id to mark entries that are not positions. Redis picks its ids at random, so it never picks an id with 15
 * zeros at the beginning.
 */
const reserved = /^0{15}/;
const zero = 48;
/**
 * Each entry stands for texts that have passed the check, by two lengths: up to `master_replid`, and from there. Most texts
 * differ only in digits, so Tidemark does not check another text with the same two lengths. If such a text is forged, Tidemark
 * still reads the server's own fields.
 */
const soundShapes = new Set<number>();
const maxSoundShapes = 64;
const maxRest = 4_096;
/** The longest text that is parsed, in characters. The text of a primary has about 120 characters for each of its replicas. */
const maxLength = 65_536;
/**
 * The line of a replica, as Redis prints it. The replica itself chooses the text after `ip=`, and Redis checks only its length. A
 * line break there would add fields to the INFO of its primary.
 */
const replicaLine =
  /slave\d{1,5}:ip=([!-+\--~]{0,255}),port=(\d{1,5}),state=([a-z_]{1,32}),offset=(-?\d{1,19}),lag=-?\d{1,19}(?:,[a-z_]{1,32}=[^,\s]{0,64}){0,8}(?=\r\n|$)/y;
const replicaLabel = "\nslave";
/** The fields that a position depends on, each with the line break before it. */
const counted = [
  "\nrole:",
  "\nconnected_slaves:",
  "\nslave_repl_offset:",
  "\nmaster_link_status:",
  "\nmaster_sync_in_progress:",
  "\nmaster_replid:",
  "\nmaster_replid2:",
  "\nmaster_repl_offset:",
  "\nsecond_repl_offset:",
  "\nrepl_backlog_active:",
];
const unfit =
  "INFO replication lacks a role, a master_replid or an offset, which can be the work of a proxy. Use the address of the " +
  "Redis server itself";
const tooLong =
  `INFO replication is longer than ${maxLength} characters, which is more than Tidemark reads. Let some of its replicas ` +
  "replicate from another replica instead";
const repeated =
  "INFO replication has a field twice or a line break in a value, so a client that may send REPLCONF and PSYNC may have " +
  "forged it. Allow these two commands only for replicas";
const unreadable =
  "INFO replication has a line of a replica that Tidemark cannot read, or a line break in a value. Allow the commands " +
  "REPLCONF and PSYNC only for replicas";

/** The id that was read last. If the same id comes again, it need not be parsed, and all positions share one string for it. */
let known = { full: noReplid, short: "" };

/**
 * Parses the reply of `INFO replication`. Undefined if it lacks a field that a position needs: a role, a 40-digit
 * `master_replid`, or whole offsets below 2^53. Also undefined if the reply may be forged. The position of such a server, or of a
 * proxy in front of it, cannot be trusted. {@link faultOf} says why.
 */
export function parseReplicationInfo(info: unknown): ReplicationInfo | undefined {
  if (typeof info !== "string") return undefined;
  // Redis prints `master_replid` after all text that clients may have influenced. Everything from there on is written by Redis
  // itself.
  const from = info.indexOf("\nmaster_replid:");
  if (from < 0 || !isSound(info, from)) return undefined;
  if (info.indexOf("\nmaster_replid:", from + 1) >= 0) return undefined;
  const replid = replidIn(info, "\nmaster_replid:", from);
  if (replid === undefined) return undefined;
  const ancestor = ancestorIn(info, from);
  const backlogActive = says(info, "\nrepl_backlog_active:", "1", from);
  if (says(info, "\nrole:", "master")) {
    const offset = numberIn(info, "\nmaster_repl_offset:", from);
    return offset === undefined ? undefined : { role: "primary", offset, replid, ancestor, backlogActive };
  }
  if (!says(info, "\nrole:", "slave")) return undefined;
  const offset = numberIn(info, "\nslave_repl_offset:");
  if (offset === undefined) return undefined;
  const linkUp = says(info, "\nmaster_link_status:", "up");
  const syncing = !says(info, "\nmaster_sync_in_progress:", "0");
  return { role: "replica", offset, linkUp, syncing, replid, ancestor, backlogActive };
}

/** A text for people that says why {@link parseReplicationInfo} returns undefined for `info`. */
export function faultOf(info: unknown): string {
  if (typeof info !== "string") return unfit;
  if (info.length > maxLength) return tooLong;
  if (hasFieldTwice(info)) return repeated;
  return hasUnreadableLine(info) ? unreadable : unfit;
}

/** Whether an INFO, as parsed by ioredis, is from a replica. */
export function isReplicaIn(info: unknown): boolean {
  return typeof info === "object" && info !== null && "role" in info && info.role === "slave";
}

/** The replicas of the server that reported `info`, by the addresses that they announce. */
export function parseReplicas(info: string): Endpoint[] {
  return replicaLinesIn(info).flatMap(([, host, port]) => endpointOf(host, port) ?? []);
}

/** How many replicas are connected to the primary that reported `info`. */
export function parseReplicaCount(info: string): number {
  return numberIn(info, "\nconnected_slaves:") ?? 0;
}

/** The offset that each synchronised replica has acknowledged, as reported by the primary. */
export function parseAcknowledgedOffsets(info: string): number[] {
  return replicaLinesIn(info).flatMap(([, , , state, offset]) => (state === "online" ? Number(offset) : []));
}

/** The server that a replica is set to replicate from. Undefined for a primary. */
export function parseUpstream(info: string): Endpoint | undefined {
  return endpointOf(textIn(info, "\nmaster_host:"), numberIn(info, "\nmaster_port:"));
}

/** Whether `info` is not too long and seems to contain only the server's own text. */
function isSound(info: string, from: number): boolean {
  const rest = info.length - from;
  if (info.length > maxLength) return false;
  // If the second length were greater, another pair of lengths could give the same number.
  if (rest >= maxRest) return !isAmbiguous(info);
  const shape = from * maxRest + rest;
  if (soundShapes.has(shape)) return true;
  if (isAmbiguous(info)) return false;
  if (soundShapes.size >= maxSoundShapes) soundShapes.clear();
  soundShapes.add(shape);
  return true;
}

function isAmbiguous(info: string): boolean {
  return hasFieldTwice(info) || hasUnreadableLine(info);
}

/** Whether one of the fields that a position depends on occurs twice. */
function hasFieldTwice(info: string): boolean {
  for (const label of counted) {
    const at = info.indexOf(label);
    if (at >= 0 && info.indexOf(label, at + label.length) >= 0) return true;
  }
  return false;
}

/** Whether `info` has a replica's line that Redis would not print. */
function hasUnreadableLine(info: string): boolean {
  for (let at = info.indexOf(replicaLabel); at >= 0; at = info.indexOf(replicaLabel, at + 1)) {
    replicaLine.lastIndex = at + 1;
    if (isDigit(info.charCodeAt(at + replicaLabel.length)) && !replicaLine.test(info)) return true;
  }
  return false;
}

/** The lines of replicas, each with its parts. Empty if the text is too long. */
function replicaLinesIn(info: string): RegExpExecArray[] {
  const lines: RegExpExecArray[] = [];
  if (info.length > maxLength) return lines;
  for (let at = info.indexOf(replicaLabel); at >= 0; at = info.indexOf(replicaLabel, at + 1)) {
    replicaLine.lastIndex = at + 1;
    const line = replicaLine.exec(info);
    if (line !== null) lines.push(line);
  }
  return lines;
}

function ancestorIn(info: string, start: number): ParentHistory | undefined {
  const replid = replidIn(info, "\nmaster_replid2:", start);
  if (replid === undefined) return undefined;
  const divergesAt = numberIn(info, "\nsecond_repl_offset:", start);
  return divergesAt === undefined ? undefined : { replid, divergesAt };
}

/** The beginning of a replication id. Undefined if there is no id, or if the id is all zeros and so stands for none. */
function replidIn(info: string, label: string, start: number): string | undefined {
  const from = valueAfter(info, label, start);
  if (from < 0 || info.startsWith(noReplid, from)) return undefined;
  if (!info.startsWith(known.full, from)) {
    const full = info.slice(from, from + known.full.length);
    if (!fullReplid.test(full) || reserved.test(full)) return undefined;
    known = { full, short: full.slice(0, replidDigits) };
  }
  return isLineEnd(info, from + known.full.length) ? known.short : undefined;
}

function numberIn(info: string, label: string, start = 0): number | undefined {
  const from = valueAfter(info, label, start);
  if (from < 0) return undefined;
  let value = 0;
  let at = from;
  for (; isDigit(info.charCodeAt(at)); at++) value = value * 10 + (info.charCodeAt(at) - zero);
  return at > from && isLineEnd(info, at) && Number.isSafeInteger(value) ? value : undefined;
}

/** Whether the value of the field is `text`. */
function says(info: string, label: string, text: string, start = 0): boolean {
  const from = valueAfter(info, label, start);
  return from >= 0 && info.startsWith(text, from) && isLineEnd(info, from + text.length);
}

function textIn(info: string, label: string): string | undefined {
  const from = valueAfter(info, label, 0);
  if (from < 0) return undefined;
  const end = info.indexOf("\r\n", from);
  return info.slice(from, end < 0 ? info.length : end);
}

/**
 * The index at which the value of a field begins. Negative if there is no such field. `label` includes the line break before the
 * field. The search begins at `start` and then covers the whole text.
 */
function valueAfter(info: string, label: string, start: number): number {
  let at = info.indexOf(label, start);
  if (at < 0 && start > 0) at = info.indexOf(label);
  return at < 0 ? at : at + label.length;
}

function isLineEnd(info: string, at: number): boolean {
  return at === info.length || info.startsWith("\r\n", at);
}

function isDigit(code: number): boolean {
  return code >= zero && code <= zero + 9;
}
