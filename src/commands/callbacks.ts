/** Keeps a command's own `resolve` and `reject`, so that a sender can replace them for a while and call them at the end. */
import type { Command } from "ioredis";

/** Both functions of a command, as they were when this object was made. */
export class CommandCallbacks {
  readonly #command: Command;
  readonly #resolve: Command["resolve"];
  readonly #reject: Command["reject"];

  constructor(command: Command) {
    this.#command = command;
    this.#resolve = command.resolve;
    this.#reject = command.reject;
  }

  resolve(reply: unknown): unknown {
    this.restore();
    return this.#resolve(reply);
  }

  reject(error: Error): void {
    this.restore();
    this.#reject(error);
  }

  /**
   * Restores both functions, so that another sender can take the command. ioredis also calls them again if a user's transformer
   * throws or a pipeline is run twice. Those calls must not reach the sender.
   */
  restore(): void {
    this.#command.resolve = this.#resolve;
    this.#command.reject = this.#reject;
  }
}
