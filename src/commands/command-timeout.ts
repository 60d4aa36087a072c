/** Applies the user's command timeouts at the client, whichever way the command takes. */
import { Command, type RedisOptions } from "ioredis";
import { CommandCallbacks } from "./callbacks.js";

type TimeOptions = Pick<RedisOptions, "commandTimeout" | "blockingTimeout" | "blockingTimeoutGrace">;

const defaultGraceMs = 100;

const deadlines = new WeakMap<Command, Deadline>();

/**
 * Rejects `command` after `commandTimeout`. Resolves `command` with null after `blockingTimeout` if ioredis counts it as
 * blocking. ioredis also counts XREAD without BLOCK as blocking.
 */
export function applyTimeouts(command: Command, options: TimeOptions): void {
  const { commandTimeout, blockingTimeout } = options;
  const rejectMs = typeof commandTimeout === "number" ? commandTimeout : undefined;
  const yields = typeof blockingTimeout === "number" && blockingTimeout > 0;
  const yieldMs =
    yields && Command.checkFlag("BLOCKING_COMMANDS", command.name) ? blockingTimeout : undefined;
  if (rejectMs === undefined && yieldMs === undefined) return;
  const graceMs = options.blockingTimeoutGrace ?? defaultGraceMs;
  deadlines.set(command, new Deadline(command, { rejectMs, yieldMs, graceMs }));
}

/** The deadline of `command`. Undefined if it has none. */
export function deadlineOf(command: Command): Deadline | undefined {
  return deadlines.get(command);
}

/**
 * Settles a command when its time is over. The sender keeps the command after that, because the server may still run and answer
 * it.
 */
export class Deadline {
  readonly #command: Command;
  readonly #graceMs: number;
  readonly #yield: () => void;
  readonly #rejection: NodeJS.Timeout | undefined;
  #yielding: NodeJS.Timeout | undefined;
  #lateMs: number | undefined;
  #onLate: ((ms: number) => void) | undefined;

  constructor(
    command: Command,
    {
      rejectMs,
      yieldMs,
      graceMs,
    }: { rejectMs: number | undefined; yieldMs: number | undefined; graceMs: number },
  ) {
    const { resolve, reject } = command;
    const callbacks = new CommandCallbacks(command);
    this.#command = command;
    this.#graceMs = graceMs;
    this.#yield = () => resolve(null);
    this.#rejection = this.#after(rejectMs, () => reject(new Error("Command timed out")));
    this.#yielding = this.#after(yieldMs, this.#yield);
    command.resolve = (reply) => {
      this.#clear();
      return callbacks.resolve(reply);
    };
    command.reject = (error) => {
      this.#clear();
      callbacks.reject(error);
    };
  }

  /**
   * The sender calls this once the command is sent. A command with its own blocking time gets that time plus a grace period from
   * now.
   */
  sent(): void {
    if (this.#yielding === undefined || this.#lateMs !== undefined) return;
    const own = this.#command.extractBlockingTimeout();
    // The command has BLOCK 0 or no BLOCK, so it may block for ever. Only `blockingTimeout` limits its time.
    if (own === 0 || own === null) return;
    clearTimeout(this.#yielding);
    this.#yielding = this.#after(own && own + this.#graceMs, this.#yield);
  }

  /** Calls `onLate` when the caller stops waiting for the command, with the milliseconds that the caller has waited. */
  whenLate(onLate: (ms: number) => void): void {
    this.#onLate = onLate;
    if (this.#lateMs !== undefined) onLate(this.#lateMs);
  }

  #after(ms: number | undefined, giveUp: () => void): NodeJS.Timeout | undefined {
    if (ms === undefined) return undefined;
    return setTimeout(() => {
      this.#clear();
      this.#lateMs = ms;
      giveUp();
      this.#onLate?.(ms);
    }, ms);
  }

  #clear(): void {
    clearTimeout(this.#rejection);
    clearTimeout(this.#yielding);
  }
}
