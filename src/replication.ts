/** What a server says of its replication: the text of `INFO replication`, read. */

/** The history a node's own history grew out of, and the first offset they do not share. */
export interface Ancestor {
  readonly replid: string;
  readonly second: number;
}

/** Where a server says that another one is. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

interface Common {
  readonly replid: string;
  readonly ancestor: Ancestor | undefined;
  readonly backlogActive: boolean;
}

/** A node as it described itself. `offset` is what a primary has written, or a replica has applied. */
export type Replication =
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
const zero = 48;

/** The one that was read last, so that it need not be read again, and that the same is one string wherever it is kept. */
let known = { full: noReplid, short: "" };

/**
 * Reads the reply of `INFO replication`. Undefined when it lacks what a position needs (a role, a 40-digit
 * `master_replid`, whole offsets below 2^53): such a server, or a proxy before it, cannot be trusted with one.
 */
export function parseReplication(info: unknown): Replication | undefined {
  if (typeof info !== "string") return undefined;
  const replid = replidIn(info, "\nmaster_replid:");
  if (replid === undefined) return undefined;
  const ancestor = ancestorIn(info);
  const backlogActive = says(info, "\nrepl_backlog_active:", "1");
  if (says(info, "\nrole:", "master")) {
    const offset = numberIn(info, "\nmaster_repl_offset:");
    return offset === undefined ? undefined : { role: "primary", offset, replid, ancestor, backlogActive };
  }
  if (!says(info, "\nrole:", "slave")) return undefined;
  const offset = numberIn(info, "\nslave_repl_offset:");
  if (offset === undefined) return undefined;
  const linkUp = says(info, "\nmaster_link_status:", "up");
  const syncing = !says(info, "\nmaster_sync_in_progress:", "0");
  return { role: "replica", offset, linkUp, syncing, replid, ancestor, backlogActive };
}

/** Whether the fields of an INFO, as ioredis reads them, are those of a replica. */
export function isReplicaIn(info: unknown): boolean {
  return typeof info === "object" && info !== null && "role" in info && info.role === "slave";
}

/** The servers that replicate from the one that said so, by the addresses they announce. */
export function replicasIn(info: string): Endpoint[] {
  return [...info.matchAll(/^slave\d+:ip=([^,]+),port=(\d+)/gm)].map(([, host = "", port]) => {
    return { host, port: Number(port) };
  });
}

/** How many replicas are connected to the primary that said so. */
export function connectedReplicasIn(info: string): number {
  return numberIn(info, "\nconnected_slaves:") ?? 0;
}

/** What each replica that is in sync has acknowledged, by the primary that said so. */
export function acknowledgedIn(info: string): number[] {
  return [...info.matchAll(/^slave\d+:\S*\bstate=online,offset=(\d+)/gm)].map(([, offset]) => Number(offset));
}

/** The server that a replica was told to replicate from; undefined for a primary. */
export function upstreamIn(info: string): Endpoint | undefined {
  const host = textIn(info, "\nmaster_host:");
  const port = numberIn(info, "\nmaster_port:");
  return host === undefined || port === undefined ? undefined : { host, port };
}

function ancestorIn(info: string): Ancestor | undefined {
  const replid = replidIn(info, "\nmaster_replid2:");
  if (replid === undefined) return undefined;
  const second = numberIn(info, "\nsecond_repl_offset:");
  return second === undefined ? undefined : { replid, second };
}

/** The beginning of a replication id; undefined where there is none, or all are zeros, which is none. */
function replidIn(info: string, label: string): string | undefined {
  const from = valueAfter(info, label);
  if (from < 0 || info.startsWith(noReplid, from)) return undefined;
  if (!info.startsWith(known.full, from)) {
    const full = info.slice(from, from + known.full.length);
    if (!fullReplid.test(full)) return undefined;
    known = { full, short: full.slice(0, replidDigits) };
  }
  return isLineEnd(info, from + known.full.length) ? known.short : undefined;
}

function numberIn(info: string, label: string): number | undefined {
  const from = valueAfter(info, label);
  if (from < 0) return undefined;
  let value = 0;
  let at = from;
  for (; isDigit(info.charCodeAt(at)); at++) value = value * 10 + (info.charCodeAt(at) - zero);
  return at > from && isLineEnd(info, at) && Number.isSafeInteger(value) ? value : undefined;
}

/** Whether the value is `text`. */
function says(info: string, label: string, text: string): boolean {
  const from = valueAfter(info, label);
  return from >= 0 && info.startsWith(text, from) && isLineEnd(info, from + text.length);
}

function textIn(info: string, label: string): string | undefined {
  const from = valueAfter(info, label);
  if (from < 0) return undefined;
  const end = info.indexOf("\r\n", from);
  return info.slice(from, end < 0 ? info.length : end);
}

/** Where the value of a field begins, below 0 where there is none; `label` has the end of the line in front of it. */
function valueAfter(info: string, label: string): number {
  const at = info.indexOf(label);
  return at < 0 ? at : at + label.length;
}

function isLineEnd(info: string, at: number): boolean {
  return at === info.length || info.startsWith("\r\n", at);
}

function isDigit(code: number): boolean {
  return code >= zero && code <= zero + 9;
}
