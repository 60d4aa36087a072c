/**
 * Follows the user's `reconnectOnError`. ioredis would resend a refused command before there is a new connection, so Tidemark
 * resends it instead.
 */
import type { Command, RedisOptions } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";

export class ReconnectOnError {
  readonly #server: RedisOptions;
  /** Errors of commands that are to be sent again. */
  readonly #due = new WeakSet<Error>();

  constructor(server: RedisOptions) {
    this.#server = server;
  }

  /**
   * The value for ioredis that makes it reconnect after `error` if the user wishes. `mayResend` is true if the command may be sent
   * again.
   */
  decide(error: Error, mayResend: boolean): boolean | 1 {
    const wish = this.#server.reconnectOnError?.(error) ?? false;
    if (wish === 2 && mayResend) this.#due.add(error);
    return wish === 2 ? 1 : wish;
  }

  /** Calls `resend` if the user wishes to send `command` again. The server has refused it, so it was not executed. */
  follow(command: Command, resend: (onFailure: (error: Error) => void) => void): void {
    const callbacks = new CommandCallbacks(command);
    command.resolve = (reply) => callbacks.resolve(reply);
    command.reject = (error) => {
      if (this.#due.delete(error)) resend((failure) => callbacks.reject(failure));
      else callbacks.reject(error);
    };
  }
}
