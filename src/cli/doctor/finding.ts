/** What a check found out about one server, or about all of them. */

/**
 * `skip`: the check does not apply, or the server cannot tell. `hidden`: the server does not let this user ask. A check says
 * `pass` only of something that it has seen.
 */
export type Verdict = "pass" | "warn" | "fail" | "skip" | "hidden";

/** The headings of the report. */
export type Group =
  | "Connection"
  | "Replication"
  | "Lag"
  | "Durability"
  | "Memory and expiry"
  | "Sentinel"
  | "Cluster"
  | "Security"
  | "Tidemark";

export interface Finding {
  /** The id of the check, such as `replication-backlog`. */
  readonly check: string;
  readonly group: Group;
  /** The address of the server. Undefined if the finding is about all servers. */
  readonly server?: string;
  readonly verdict: Verdict;
  /** What was found: "repl-backlog-size is 1 MB, which is 4 s of writes". */
  readonly found: string;
  /** Why it matters. */
  readonly why?: string;
  /** One line to paste. */
  readonly fix?: string;
}
