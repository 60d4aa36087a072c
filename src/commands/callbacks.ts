/** Keeps a command's own `resolve` and `reject`, so that a sender can replace them for a while and call them at the end. */
import type { Command } from "ioredis";

/** The `resolve` and `reject` that a command had when this object was made. */
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
   * Restores `resolve` and `reject` of the command, so that another sender can take the command. ioredis calls the two functions
   * again if a user's transformer throws or a pipeline is run twice. After this method such calls do not reach the present
   * sender.
   */
  restore(): void {
    this.#command.resolve = this.#resolve;
    this.#command.reject = this.#reject;
  }
}
