/** A write of no consequence: WAIT waits only for what its own connection has written before it. */
import { Command } from "ioredis";
import type { Shard } from "./shard.js";
import type { Topology } from "./topology/topology.js";

type Send = (command: Command) => Promise<unknown>;

const channel = "tidemark:fence";
/** Long enough for a slow server, short enough to be nothing. */
const lifeMs = "1000";
const maxTags = 100_000;

export class Fence {
  readonly #shard: Shard;
  readonly #topology: Pick<Topology, "shardOf">;
  /** Whether a message is let through; else a key has to do. */
  #speaks: boolean;

  constructor(shard: Shard, topology: Pick<Topology, "shardOf">) {
    this.#shard = shard;
    this.#topology = topology;
    // The nodes of a cluster tell each other of messages, and not in the stream of replication.
    this.#speaks = shard.alone;
  }

  /** Moves the offset of the primary by what `send` sends; `isOnDisk` when append-only files have to have it too. */
  async raise(send: Send, isOnDisk: boolean): Promise<void> {
    if (!this.#speaks || isOnDisk) {
      await send(this.#key());
      return;
    }
    try {
      await send(new Command("publish", [channel, ""]));
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("NOPERM")) throw error;
      this.#speaks = false;
      await send(this.#key());
    }
  }

  #key(): Command {
    for (let tag = 0; tag < maxTags; tag++) {
      const command = new Command("set", [`${channel}:{${tag}}`, "", "PX", lifeMs]);
      if (this.#shard.alone || this.#topology.shardOf(command) === this.#shard) return command;
    }
    throw new Error("the shard has no slot");
  }
}
