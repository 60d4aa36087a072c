/** A small key that stands for a position where a server does not tell its own. */
import { randomBytes } from "node:crypto";
import { Command } from "ioredis";
import type { Connection } from "../connection/connection.js";
import type { ReplicationInfo } from "../replication/replication-info.js";

/** An idle process's key goes by itself; who misses it is read from only as a primary until it is written again. */
const keptMs = 120_000;

/** What a server is asked, and what its reply means; a text says why it means nothing. */
export interface ProbeCommand {
  readonly command: Command;
  readonly read: (reply: unknown) => ReplicationInfo | string;
}

/**
 * Counts up in a key on the primary. A replica on which it stands at `n` or above has applied all that was carried out in
 * front of `SET n`, since a stream is applied in its order.
 *
 * Invariant: the numbers of one key are written in their order, each once. So it belongs to one TCP connection: over
 * another one, or at another primary, a later number could stand beside an earlier write that is not there.
 */
export class MarkerKey {
  #id = "";
  #last = 0;
  #owner: Connection | undefined;
  #epoch = 0;

  /** Writes the next number behind all that was sent to the primary over `connection`. */
  write(connection: Connection): ProbeCommand {
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

  /** Looks how far a replica has come. */
  look(): ProbeCommand {
    const replid = this.#id;
    const command = new Command("get", [keyOf(replid)], { replyEncoding: "utf8" });
    const read = (reply: unknown): ReplicationInfo | string => {
      if (replid === "" || typeof reply !== "string" || !/^\d{1,15}$/.test(reply)) return notThere;
      return { ...nowhere(replid), offset: Number(reply), linkUp: true, syncing: false };
    };
    return { command, read };
  }

  /** What a server says of itself by refusing a marker because it is a replica. */
  refused(): ReplicationInfo {
    return nowhere(this.#id);
  }
}

/** The reason where a marker is not to be found, as on every replica at first. */
export const notThere = "marker not there";

function nowhere(replid: string): Extract<ReplicationInfo, { role: "replica" }> {
  const position = { replid, offset: 0, ancestor: undefined, backlogActive: false };
  return { role: "replica", ...position, linkUp: false, syncing: true };
}

function keyOf(id: string): string {
  return `tidemark:${id}`;
}
