/** One pass of SCAN, HSCAN, SSCAN or ZSCAN: it ends on the connection where it began. */
import type { Command } from "ioredis";
import { Ends } from "../commands/ends.js";
import { IterationLostError } from "../errors/errors.js";
import type { Incarnation } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import type { Shard } from "../shard/shard.js";

/** Where an iteration began; a server's cursors mean nothing on another, and nothing once it was restarted. */
export class ScanIteration {
  /** The shard whose keys it goes through, from its first step on. */
  shard: Shard | undefined;
  #node: Node | undefined;
  #incarnation: Incarnation | undefined;

  /** The node it is bound to; undefined until its first step is answered. */
  get node(): Node | undefined {
    return this.#node;
  }

  /** Told of every answer. */
  answeredBy(node: Node): void {
    if (this.#node !== undefined) return;
    this.#node = node;
    this.#incarnation = node.incarnation;
  }

  /** Whether it began on a connection that is gone. */
  get isLost(): boolean {
    return (
      this.#node !== undefined &&
      (this.#node.incarnation !== this.#incarnation || !this.#node.connection.ready)
    );
  }
}

/** The error of an iteration that cannot go on where it began. */
export function iterationLostError(
  command: Command,
  iteration: ScanIteration | undefined,
  cause?: Error,
): IterationLostError {
  const address = iteration?.node?.connection.address ?? "the server";
  const why = iteration?.isLost
    ? `the connection to ${address}, where this iteration began, is gone`
    : `${address}, where this iteration began, may not answer the session any more`;
  return new IterationLostError(command.name.toUpperCase(), why, { cause });
}

const maxOpen = 1_000;

/**
 * Where the cursors that a session was given come from. One that came from another session or process is not here:
 * nothing can be said of it.
 */
export class ScanCursors {
  readonly #iterations = new Map<string, ScanIteration>();

  /** The iteration that `command` goes on with, by its cursor; one that is lost is reported once. */
  find(command: Command): ScanIteration | undefined {
    const key = keyOf(command, cursorOf(command));
    const iteration = this.#iterations.get(key);
    if (iteration?.isLost) this.#iterations.delete(key);
    return iteration;
  }

  /** Has the cursor remembered that the primary will answer `command` with. */
  track(command: Command, shard: { readonly primary: Node }, iteration: ScanIteration): void {
    const ends = new Ends(command);
    command.reject = (error) => ends.reject(error);
    command.resolve = (reply) => {
      iteration.answeredBy(shard.primary);
      this.#note(command, reply, iteration);
      return ends.resolve(reply);
    };
  }

  /** The cursor of `command` is used up, the one it was answered with is open. */
  #note(command: Command, reply: unknown, iteration: ScanIteration): void {
    this.#iterations.delete(keyOf(command, cursorOf(command)));
    const next = Array.isArray(reply) ? String(reply[0]) : "0";
    if (next === "0") return;
    if (this.#iterations.size >= maxOpen) {
      for (const oldest of this.#iterations.keys()) {
        this.#iterations.delete(oldest);
        break;
      }
    }
    this.#iterations.set(keyOf(command, next), iteration);
  }
}

/** The cursor of a SCAN command or its kin; "0" begins an iteration. */
export function cursorOf({ name, args }: Command): string {
  return String(args[name.toLowerCase() === "scan" ? 0 : 1]);
}

function keyOf({ name, args }: Command, cursor: string): string {
  const lower = name.toLowerCase();
  return lower === "scan" ? `scan ${cursor}` : `${lower} ${cursor} ${String(args[0])}`;
}
