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

/**
 * Reads the reply of `INFO replication`. Undefined when it lacks what a position needs (a role, a 40-digit
 * `master_replid`, whole offsets below 2^53): such a server, or a proxy before it, cannot be trusted with one.
 */
export function parseReplication(info: unknown): Replication | undefined {
  if (typeof info !== "string") return undefined;
  const replid = shortReplid(field(info, "master_replid"));
  if (replid === undefined) return undefined;
  const common = {
    replid,
    ancestor: ancestorOf(info),
    backlogActive: field(info, "repl_backlog_active") === "1",
  };
  const role = field(info, "role");
  if (role === "master") {
    const offset = wholeNumber(field(info, "master_repl_offset"));
    return offset === undefined ? undefined : { role: "primary", offset, ...common };
  }
  if (role !== "slave") return undefined;
  const offset = wholeNumber(field(info, "slave_repl_offset"));
  if (offset === undefined) return undefined;
  const linkUp = field(info, "master_link_status") === "up";
  const syncing = field(info, "master_sync_in_progress") !== "0";
  return { role: "replica", offset, linkUp, syncing, ...common };
}

/** The servers that replicate from the one that said so, by the addresses they announce. */
export function replicasIn(info: string): Endpoint[] {
  return [...info.matchAll(/^slave\d+:ip=([^,]+),port=(\d+)/gm)].map(([, host = "", port]) => {
    return { host, port: Number(port) };
  });
}

/** How many replicas are connected to the primary that said so. */
export function connectedReplicasIn(info: string): number {
  return wholeNumber(field(info, "connected_slaves")) ?? 0;
}

/** What each replica that is in sync has acknowledged, by the primary that said so. */
export function acknowledgedIn(info: string): number[] {
  return [...info.matchAll(/^slave\d+:\S*\bstate=online,offset=(\d+)/gm)].map(([, offset]) => Number(offset));
}

/** The server that a replica was told to replicate from; undefined for a primary. */
export function upstreamIn(info: string): Endpoint | undefined {
  const host = field(info, "master_host");
  const port = wholeNumber(field(info, "master_port"));
  return host === undefined || port === undefined ? undefined : { host, port };
}

function ancestorOf(info: string): Ancestor | undefined {
  const replid = shortReplid(field(info, "master_replid2"));
  const second = wholeNumber(field(info, "second_repl_offset"));
  return replid === undefined || second === undefined ? undefined : { replid, second };
}

function shortReplid(full: string | undefined): string | undefined {
  if (full === undefined || !fullReplid.test(full) || /^0+$/.test(full)) return undefined;
  return full.slice(0, replidDigits);
}

function wholeNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

function field(info: string, name: string): string | undefined {
  const start = info.indexOf(`\n${name}:`);
  if (start < 0) return undefined;
  const from = start + name.length + 2;
  const end = info.indexOf("\r\n", from);
  return info.slice(from, end < 0 ? info.length : end);
}
