/** What is given before it is known which servers there are, and waits for that in its order. */
import type { Command } from "ioredis";
import { type CommandKind, keyCount } from "../commands/command-kind.js";
import { ClosedError, NoPrimaryError } from "../errors/errors.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard/shard.js";
import { WaitQueue } from "../shard/wait-queue.js";
import type { Topology } from "../topology/topology.js";
import { isTransaction } from "./pipeline.js";

/** What goes to one shard of what was given together. */
type Part = readonly [Shard, readonly Command[]];

export class ShardResolver {
  readonly #topology: Topology;
  /** How long commands wait for the first word of which servers there are, in milliseconds. */
  readonly #patienceMs: number;
  readonly #waiting = new WaitQueue(() => {});
  #closed = false;

  constructor(topology: Topology, patienceMs: number) {
    this.#topology = topology;
    this.#patienceMs = patienceMs;
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#waiting.isEmpty;
  }

  /** The shard that holds what `command` touches; undefined while nobody knows, or others wait that came before. */
  shardOf(command: Command): Shard | undefined {
    // To be asked would have it look for servers again.
    const isOver = this.#closed && this.#topology.shards.length === 0;
    return this.#waiting.isEmpty && !isOver ? this.#topology.shardOf(command) : undefined;
  }

  /**
   * The commands by the shards that hold what they touch, a transaction all with the first that has a key; those without
   * keys go with the one before. Undefined while nobody knows.
   */
  partsOf(commands: readonly Command[]): readonly Part[] | undefined {
    const isSpread = this.#topology.redirect !== undefined;
    const first = (isSpread ? commands.find((command) => keyCount(command) > 0) : undefined) ?? commands[0];
    let shard = first && this.shardOf(first);
    if (shard === undefined) return undefined;
    if (!isSpread || commands.some(isTransaction)) return [[shard, commands]];
    const parts = new Map<Shard, Command[]>();
    for (const command of commands) {
      if (keyCount(command) > 0) shard = this.shardOf(command) ?? shard;
      const part = parts.get(shard);
      if (part === undefined) parts.set(shard, [command]);
      else part.push(command);
    }
    return [...parts];
  }

  /** Has `send` called when it is known; the commands are rejected when nobody has told in time. */
  add(
    commands: readonly Command[],
    kinds: readonly CommandKind[],
    session: Session | undefined,
    send: () => void,
  ): void {
    const writer = session?.writerOf(commands, kinds);
    // Until it leaves it counts as on its way, so that what its session does next stays behind it.
    const handle = writer?.beginWrite();
    const goOn = (what: () => void): void => {
      what();
      handle?.end("not-sent");
    };
    const giveUp = (): void => {
      goOn(() => {
        for (const command of commands) command.reject(this.#error(command.name.toUpperCase()));
      });
    };
    this.#wait(() => goOn(send), giveUp, this.#patienceMs);
  }

  /** Resolves when it is known; rejects when nobody has told within `timeoutMs`. */
  known(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#topology.shards.length > 0) return resolve();
      if (!this.#closed) this.#topology.open();
      this.#wait(resolve, () => reject(this.#error("ready()")), timeoutMs);
    });
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

  #wait(goOn: () => void, giveUp: () => void, patienceMs: number): void {
    const since = performance.now();
    const attempt = (): boolean => {
      const { shards, refusal } = this.#topology;
      const isRefused = refusal !== undefined && refusal.at >= since;
      if (shards.length > 0) goOn();
      else if (isRefused) giveUp();
      return shards.length > 0 || isRefused;
    };
    this.#waiting.add({ attempt, giveUp, until: since + patienceMs });
  }

  #error(what: string): Error {
    if (this.#closed) return new ClosedError();
    const { refusal, fault } = this.#topology;
    return refusal?.error ?? new NoPrimaryError(what, undefined, fault);
  }
}
