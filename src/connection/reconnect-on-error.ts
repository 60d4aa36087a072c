/** The user's `reconnectOnError`: what it wants sent again, ioredis could only send while there is no connection. */
import type { Command, RedisOptions } from "ioredis";
import { Ends } from "../commands/ends.js";
import type { WhenReady } from "./offline-queue.js";

/** The connection that commands are sent again on. */
interface Sender {
  readonly server: RedisOptions;
  send(command: Command): void;
  whenReady(start: WhenReady, wait: { readonly command: string }): void;
  flush(): void;
}

export class ReconnectOnError {
  readonly #sender: Sender;
  readonly #due = new WeakSet<Error>();

  constructor(sender: Sender) {
    this.#sender = sender;
  }

  /** What ioredis is to do about `error`, as the user wishes; `patient` when the command may be sent again. */
  reconnectOn(error: Error, patient: boolean): boolean | 1 {
    const wish = this.#sender.server.reconnectOnError?.(error) ?? false;
    // What has been given so far would come too late at the end of the turn.
    if (wish) this.#sender.flush();
    if (wish === 2 && patient) this.#due.add(error);
    return wish === 2 ? 1 : wish;
  }

  /** The server has refused the command, so it may be sent again, other than one that was left unanswered. */
  attend(command: Command): void {
    const ends = new Ends(command);
    command.resolve = (reply) => ends.resolve(reply);
    command.reject = (error) => {
      const again = (failure?: Error): void => (failure ? ends.reject(failure) : this.#sender.send(command));
      if (!this.#due.delete(error)) ends.reject(error);
      else this.#sender.whenReady(again, { command: command.name });
    };
  }
}
