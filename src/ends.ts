/** The two ends of a command: whoever sends it puts their own in their place, and calls these in the end. */
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
    // ioredis calls it when a transformer of the user's throws: that is no answer to whoever sent the command.
    this.#command.reject = this.#reject;
    return this.#resolve(reply);
  }

  reject(error: Error): void {
    this.#reject(error);
  }
}
