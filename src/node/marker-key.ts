/** A small key that proves the position of a server whose ACL forbids INFO. */
import { randomBytes } from "node:crypto";
import { Command } from "ioredis";
import type { Connection } from "../connection/connection.js";
import type { ReplicationInfo } from "../replication/replication-info.js";

/** The key of an idle process expires by itself. Replicas without the key answer no reads until it is written again. */
const keptMs = 120_000;

/** A question for a server, and how to read the reply. `read` returns a report, or the reason why the reply shows no position. */
export interface ProbeCommand {
  readonly command: Command;
  readonly read: (reply: unknown) => ReplicationInfo | string;
}

/**
 * Writes growing numbers to a key on the primary. A replica that has the number `n` or a greater one has applied every command that
 * the primary executed before it wrote `n`, because replicas apply the stream in its order.
 *
 * Invariant: the numbers of one key are written in their order, each once. So each key is written over one TCP connection only.
 * Over another connection, or on another primary, a later number could be there although an earlier write is missing.
 */
export class MarkerKey {
  /** Whether the primary is asked by this key now. Only its numbers can then be compared with the positions of replicas. */
  isInUse = false;
  #id = "";
  #last = 0;
  #owner: Connection | undefined;
  #epoch = 0;

  /**
   * The command that writes the next number. It is executed after everything that was sent to the primary over `connection` before
   * it.
   */
  writeCommand(connection: Connection): ProbeCommand {
    if (connection !== this.#owner || connection.epoch !== this.#epoch) {
      this.#id = randomBytes(8).toString("hex");
      this.#last = 0;
      this.#owner = connection;
      this.#epoch = connection.epoch;
    }
    this.#last += 1;
    this.isInUse = true;
    const [replid, offset] = [this.#id, this.#last];
    const command = new Command("set", [keyOf(replid), offset, "PX", keptMs], { replyEncoding: "utf8" });
    const position = { replid, offset, ancestor: undefined, backlogActive: true };
    return { command, read: (reply) => (reply === "OK" ? { role: "primary", ...position } : notThere) };
  }

  /** The command that reads the number on a replica. */
  readCommand(): ProbeCommand {
    const replid = this.#id;
    const command = new Command("get", [keyOf(replid)], { replyEncoding: "utf8" });
    const read = (reply: unknown): ReplicationInfo | string => {
      if (replid === "" || typeof reply !== "string" || !/^\d{1,15}$/.test(reply)) return notThere;
      return { ...nowhere(replid), offset: Number(reply), linkUp: true, syncing: false };
    };
    return { command, read };
  }

  /** The report of a server that refuses to write the marker key because it is a replica. */
  refused(): ReplicationInfo {
    return nowhere(this.#id);
  }
}

/** Why the position of a server without the marker key is unknown. At first every replica is without it. */
export const notThere = "marker key not found";

function nowhere(replid: string): Extract<ReplicationInfo, { role: "replica" }> {
  const position = { replid, offset: 0, ancestor: undefined, backlogActive: false };
  return { role: "replica", ...position, linkUp: false, syncing: true };
}

function keyOf(id: string): string {
  return `tidemark:${id}`;
}
