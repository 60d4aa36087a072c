/** The two ends of a command: the sender puts its own in their place, and calls these in the end. */
import type { Command } from "ioredis";

/** Both ends as they were when it was made. */
export class Ends {
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
   * Puts them in their place again, for another who sends the command. ioredis too calls them again, when a transformer
   * of the user's throws or a pipeline is given twice: not for us.
   */
  restore(): void {
    this.#command.resolve = this.#resolve;
    this.#command.reject = this.#reject;
  }
}
