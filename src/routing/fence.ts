/** A write of no consequence: WAIT waits only for what its own connection has written before it. */
import { Command } from "ioredis";
import { clusterCommand, isOfNoCluster } from "../node/own-commands.js";
import type { Shard } from "../shard/shard.js";
import type { Topology } from "../topology/topology.js";

type Send = (command: Command) => Promise<unknown>;

const channel = "tidemark:fence";
/** Long enough for a slow server, short enough to be nothing. */
const lifeMs = "1000";
const maxTags = 100_000;

export class Fence {
  readonly #shard: Shard;
  readonly #topology: Pick<Topology, "shardOf">;
  /** Whether a message may do; else a key has to. */
  #speaks: boolean;

  constructor(shard: Shard, topology: Pick<Topology, "shardOf">) {
    this.#shard = shard;
    this.#topology = topology;
    this.#speaks = shard.alone;
  }

  /** Moves the offset of the primary by what `send` sends; `isOnDisk` when append-only files have to have it too. */
  async raise(send: Send, isOnDisk: boolean): Promise<void> {
    if (this.#speaks && !isOnDisk) this.#speaks = await speak(send);
    if (!this.#speaks || isOnDisk) await send(this.#key());
  }

  #key(): Command {
    for (let tag = 0; tag < maxTags; tag++) {
      const command = new Command("set", [`${channel}:{${tag}}`, "", "PX", lifeMs]);
      if (this.#shard.alone || this.#topology.shardOf(command) === this.#shard) return command;
    }
    throw new Error("the shard has no slot");
  }
}

/** Sends a message; whether it is in the stream of replication. */
async function speak(send: Send): Promise<boolean> {
  try {
    const [, reply] = await Promise.all([
      send(new Command("publish", [channel, ""])),
      send(clusterCommand()),
    ]);
    // The nodes of a cluster tell each other of messages instead, also when one of them was named as a server of its own.
    return isOfNoCluster(reply);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("NOPERM")) return false;
    throw error;
  }
}
