/** What is given before it is known which servers there are, and waits for that in its order. */
import type { Command } from "ioredis";
import type { CommandKind } from "./command.js";
import { ClosedError, NoPrimaryError } from "./errors.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";
import type { Topology } from "./topology/topology.js";
import { Waiting } from "./waiting.js";

/** How long commands wait for the first word of which servers there are. */
const patienceMs = 1_000;

export class Beginning {
  readonly #topology: Topology;
  readonly #waiting = new Waiting(() => {});
  #closed = false;

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  /** The shard that holds what `command` touches; undefined while nobody knows, or others wait that came before. */
  shardOf(command: Command): Shard | undefined {
    return this.#waiting.isEmpty ? this.#topology.shardOf(command) : undefined;
  }

  /** Has `send` called when it is known; after a second the commands are rejected. */
  add(
    commands: readonly Command[],
    kinds: readonly CommandKind[],
    session: Session | undefined,
    send: () => void,
  ): void {
    const writer = kinds.includes("write") || kinds.includes("blocking") ? session : undefined;
    // Until it leaves it counts as on its way, so that what its session does next stays behind it.
    writer?.writeStarted();
    const goOn = (what: () => void): void => {
      what();
      writer?.writeEnded("not-sent");
    };
    const attempt = (): boolean => {
      if (this.#topology.shards.length === 0) return false;
      goOn(send);
      return true;
    };
    const giveUp = (): void => {
      goOn(() => {
        for (const command of commands) command.reject(this.#error(command));
      });
    };
    this.#waiting.add({ attempt, giveUp, until: performance.now() + patienceMs });
  }

  /** Takes commands again after it was closed. */
  open(): void {
    this.#closed = false;
    this.#waiting.open();
  }

  /** Rejects what waits. */
  close(): void {
    this.#closed = true;
    this.#waiting.close();
  }

  #error({ name }: Command): Error {
    if (this.#closed) return new ClosedError();
    return new NoPrimaryError(name.toUpperCase(), "none is known", this.#topology.fault);
  }
}
