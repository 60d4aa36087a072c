/** Keeps one pass of SCAN, HSCAN, SSCAN or ZSCAN on the connection where it began. */
import type { Command } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import { IterationLostError } from "../errors/errors.js";
import type { Incarnation } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import type { Shard } from "../shard/shard.js";

/** The origin of an iteration. A server's cursors mean nothing on another server, and nothing after that server was restarted. */
export class ScanIteration {
  /** The shard whose keys the iteration goes through. Set from the first step on. */
  shard: Shard | undefined;
  #node: Node | undefined;
  #incarnation: Incarnation | undefined;

  /** The node that the iteration is bound to. Undefined until the first step is answered. */
  get node(): Node | undefined {
    return this.#node;
  }

  /** Called for every answer. */
  answeredBy(node: Node): void {
    if (this.#node !== undefined) return;
    this.#node = node;
    this.#incarnation = node.incarnation;
  }

  /** Whether the iteration began on a connection that is gone. */
  get isLost(): boolean {
    return (
      this.#node !== undefined &&
      (this.#node.incarnation !== this.#incarnation || !this.#node.connection.ready)
    );
  }
}

/** The error of an iteration that cannot continue where it began. */
export function iterationLostError(
  command: Command,
  iteration: ScanIteration | undefined,
  cause?: Error,
): IterationLostError {
  const address = iteration?.node?.connection.address ?? "the server";
  const why = iteration?.isLost
    ? `the connection to ${address}, where this iteration began, was lost`
    : `${address}, where this iteration began, can no longer answer this session`;
  return new IterationLostError(command.name.toUpperCase(), why, { cause });
}

const maxOpen = 1_000;

/**
 * Remembers where the cursors that a session was given come from. A cursor from another session or process is not here, and
 * Tidemark knows nothing about such a cursor.
 */
export class ScanCursors {
  readonly #iterations = new Map<string, ScanIteration>();

  /** The iteration that `command` continues, by its cursor. A lost iteration is reported once. */
  find(command: Command): ScanIteration | undefined {
    const key = keyOf(command, cursorOf(command));
    const iteration = this.#iterations.get(key);
    if (iteration?.isLost) this.#iterations.delete(key);
    return iteration;
  }

  /** Remembers the cursor that the primary will return for `command`. */
  track(command: Command, shard: { readonly primary: Node }, iteration: ScanIteration): void {
    const callbacks = new CommandCallbacks(command);
    command.reject = (error) => callbacks.reject(error);
    command.resolve = (reply) => {
      iteration.answeredBy(shard.primary);
      this.#note(command, reply, iteration);
      return callbacks.resolve(reply);
    };
  }

  /** Forgets the cursor of `command`, which is used up, and remembers the cursor in the reply, which is open. */
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

/** The cursor of a SCAN, HSCAN, SSCAN or ZSCAN command. "0" begins an iteration. */
export function cursorOf({ name, args }: Command): string {
  return String(args[name.toLowerCase() === "scan" ? 0 : 1]);
}

function keyOf({ name, args }: Command, cursor: string): string {
  const lower = name.toLowerCase();
  return lower === "scan" ? `scan ${cursor}` : `${lower} ${cursor} ${String(args[0])}`;
}
