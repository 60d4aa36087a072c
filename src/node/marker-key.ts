/** A small key that proves the position of a server whose ACL forbids INFO. */
import { randomBytes } from "node:crypto";
import { Command } from "ioredis";
import type { Connection } from "../connection/connection.js";
import type { ReplicationInfo } from "../replication/replication-info.js";

/** The key of an idle process expires by itself. Replicas without the key answer no reads until it is written again. */
const keptMs = 120_000;

/** A question for a server, and how to read the reply. The result is a report, or the reason why the reply has no meaning. */
export interface ProbeCommand {
  readonly command: Command;
  readonly read: (reply: unknown) => ReplicationInfo | string;
}

/**
 * Counts up in a key on the primary. A replica whose key is at `n` or above has applied every command that the primary executed
 * before `SET n`, because replicas apply the stream in its order.
 *
 * Invariant: the numbers of one key are written in their order, each once. So a key belongs to one TCP connection: over another
 * connection, or at another primary, a later number could be there although an earlier write is missing.
 */
export class MarkerKey {
  #id = "";
  #last = 0;
  #owner: Connection | undefined;
  #epoch = 0;

  /** Writes the next number behind everything that was sent to the primary over `connection`. */
  writeCommand(connection: Connection): ProbeCommand {
    if (connection !== this.#owner || connection.epoch !== this.#epoch) {
      this.#id = randomBytes(8).toString("hex");
      this.#last = 0;
      this.#owner = connection;
      this.#epoch = connection.epoch;
    }
    this.#last += 1;
    const [replid, offset] = [this.#id, this.#last];
    const command = new Command("set", [keyOf(replid), offset, "PX", keptMs], { replyEncoding: "utf8" });
    const position = { replid, offset, ancestor: undefined, backlogActive: true };
    return { command, read: (reply) => (reply === "OK" ? { role: "primary", ...position } : notThere) };
  }

  /** Reads how far a replica has come. */
  readCommand(): ProbeCommand {
    const replid = this.#id;
    const command = new Command("get", [keyOf(replid)], { replyEncoding: "utf8" });
    const read = (reply: unknown): ReplicationInfo | string => {
      if (replid === "" || typeof reply !== "string" || !/^\d{1,15}$/.test(reply)) return notThere;
      return { ...nowhere(replid), offset: Number(reply), linkUp: true, syncing: false };
    };
    return { command, read };
  }

  /** The report of a server that refuses a marker because it is a replica. */
  refused(): ReplicationInfo {
    return nowhere(this.#id);
  }
}

/** The reason if a server does not have the marker. At first this is so on every replica. */
export const notThere = "marker key not found";

function nowhere(replid: string): Extract<ReplicationInfo, { role: "replica" }> {
  const position = { replid, offset: 0, ancestor: undefined, backlogActive: false };
  return { role: "replica", ...position, linkUp: false, syncing: true };
}

function keyOf(id: string): string {
  return `tidemark:${id}`;
}
