/** Keeps commands waiting in their order until the servers are known. */
import type { Command } from "ioredis";
import { type CommandKind, keyCount } from "../commands/command-kind.js";
import { ClosedError, NoPrimaryError } from "../errors/errors.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard/shard.js";
import { WaitQueue } from "../shard/wait-queue.js";
import type { Topology } from "../topology/topology.js";
import { isTransaction } from "./pipeline.js";

/** A shard, and the commands of a batch that go to it. */
type Part = readonly [Shard, readonly Command[]];

export class ShardResolver {
  readonly #topology: Topology;
  /** How long commands wait for the first report of which servers there are, in milliseconds. */
  readonly #patienceMs: number;
  readonly #waiting = new WaitQueue(() => {});
  #closed = false;

  constructor(topology: Topology, patienceMs: number) {
    this.#topology = topology;
    this.#patienceMs = patienceMs;
  }

  get isEmpty(): boolean {
    return this.#waiting.isEmpty;
  }

  /** The shard that holds the data of `command`. Undefined while the shard is not known, or while earlier commands wait. */
  shardOf(command: Command): Shard | undefined {
    // A closed topology would look for servers again if it were asked.
    const isOver = this.#closed && this.#topology.shards.length === 0;
    return this.#waiting.isEmpty && !isOver ? this.#topology.shardOf(command) : undefined;
  }

  /**
   * Groups the commands by the shards that hold their keys. A transaction goes as a whole with its first command that has a key.
   * Commands without keys go with the command before them. Undefined while the shards are not known.
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

  /** Calls `send` when the servers are known. Rejects the commands if the servers are not known in time. */
  add(
    commands: readonly Command[],
    kinds: readonly CommandKind[],
    session: Session | undefined,
    send: () => void,
  ): void {
    const writer = session?.writerOf(commands, kinds);
    // The commands count as in flight until they are sent, so that later commands of their session stay behind them.
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

  /** Resolves when the servers are known. Rejects if they are not known within `timeoutMs` milliseconds. */
  known(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#topology.shards.length > 0) return resolve();
      if (!this.#closed) this.#topology.open();
      this.#wait(resolve, () => reject(this.#error("ready()")), timeoutMs);
    });
  }

  /** Accepts commands again after it was closed. */
  open(): void {
    this.#closed = false;
    this.#waiting.open();
  }

  /** Rejects all waiting commands. */
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
