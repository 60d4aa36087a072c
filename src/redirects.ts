/** Commands that a node of a cluster sends elsewhere: they are sent again, there. */
import type { Command } from "ioredis";
import { Ends } from "./ends.js";
import { isRedirection } from "./refusal.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";

/** Takes in an error that sends a command elsewhere; see `Topology.redirect`. */
export type Redirect = (error: Error, again: (asked?: Shard) => void) => boolean;

/** As in ioredis. */
const maxRedirections = 16;

/**
 * Has `send` called again whenever `command` is answered with where else it has to go: such an answer proves that it was
 * not carried out. Meanwhile it counts as a write of `writer` that is on its way.
 */
export function attend(
  redirect: Redirect,
  command: Command,
  writer: Session | undefined,
  send: (asked?: Shard) => void,
): void {
  const ends = new Ends(command);
  let left = maxRedirections;
  command.resolve = (reply) => ends.resolve(reply);
  command.reject = (error) => {
    writer?.writeStarted();
    const again = (asked?: Shard): void => {
      send(asked);
      writer?.writeEnded("not-sent");
    };
    left -= 1;
    if (left >= 0 && redirect(error, again)) return;
    writer?.writeEnded("not-sent");
    ends.reject(error);
  };
}

/** Has it known where an error sends `command`, which is not sent again: it stands for others on its connection. */
export function takeIn(redirect: Redirect, command: Command): void {
  const ends = new Ends(command);
  command.resolve = (reply) => ends.resolve(reply);
  command.reject = (error) => {
    redirect(error, () => {});
    ends.reject(error);
  };
}

/** What became of the commands of a transaction that was sent once. */
class Outcomes {
  readonly #ends: readonly Ends[];
  readonly #settled = new Map<number, () => void>();
  /** What one of the commands was sent elsewhere with. */
  elsewhere: Error | undefined;
  /** Whether EXEC has carried nothing out. */
  aborted = false;

  constructor(commands: readonly Command[], ends: readonly Ends[], onEnd: (outcomes: Outcomes) => void) {
    this.#ends = ends;
    for (const [index, command] of commands.entries()) {
      const settle = (end: () => void): void => {
        this.#settled.set(index, end);
        if (this.#settled.size === commands.length) onEnd(this);
      };
      command.resolve = (reply) => settle(() => this.#ends[index]?.resolve(reply));
      command.reject = (error) => {
        if (isRedirection(error)) this.elsewhere ??= error;
        // EXEC itself is refused where each command was given its own key, but not all keys are there.
        const isRefused = command.name.toLowerCase() === "exec" && isRedirection(error);
        if (isRefused || error.message.startsWith("EXECABORT")) this.aborted = true;
        settle(() => this.#ends[index]?.reject(error));
      };
    }
  }

  /** Gives each command its own. */
  hand(): void {
    for (const index of this.#ends.keys()) this.#settled.get(index)?.();
  }
}

/**
 * The same for a transaction as a whole, from MULTI to EXEC: when one of its commands was sent elsewhere, EXEC carries
 * nothing out. While its keys are on their way one by one, no one shard can: then it is tried again until they have arrived.
 */
export function attendTransaction(
  redirect: Redirect,
  commands: readonly Command[],
  writer: Session | undefined,
  send: (asked?: Shard) => void,
): void {
  const ends = commands.map((command) => new Ends(command));
  const attempt = (left: number): void => {
    new Outcomes(commands, ends, (outcomes) => {
      const { elsewhere, aborted } = outcomes;
      writer?.writeStarted();
      const again = (asked?: Shard): void => {
        attempt(left - 1);
        send(asked);
        writer?.writeEnded("not-sent");
      };
      if (aborted && elsewhere !== undefined && left > 0 && redirect(elsewhere, again)) return;
      writer?.writeEnded("not-sent");
      outcomes.hand();
    });
  };
  attempt(maxRedirections);
}
