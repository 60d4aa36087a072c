/** Resends commands that a node of a cluster redirects to another node, and keeps their order. */
import type { Command, RedisOptions } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import { isScript, keyNames } from "../commands/command-kind.js";
import { destinationOf, trackDestination } from "../commands/destination.js";
import { isRedirection } from "../commands/server-reply.js";
import { discardSend } from "../reads/route-record.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard/shard.js";
import { mayBeRedirected } from "../topology/script-redirect.js";
import { type QueuedRedirect, RedirectQueue } from "./redirect-queue.js";

/** Handles an error that redirects a command. See `Topology.redirect`. */
export type Redirect = (error: Error, again: (asked?: Shard) => void) => boolean;

/** Asks a server whether it redirects a script. See `Topology.confirm`. */
export type Confirm = (
  script: Command,
  server: RedisOptions | undefined,
  isAsked: boolean,
) => Promise<Error | undefined>;

/** A command or a transaction on its way. */
export interface RetryUnit {
  readonly commands: readonly Command[];
  /**
   * The session, or an object that stands for all commands outside of sessions. Commands of one owner on the same key keep their
   * order.
   */
  readonly owner: object;
  /** The session, if the unit writes. */
  readonly writer: Session | undefined;
  /**
   * Sends the unit. Its commands have their original callbacks again by then. `asked` is set if the keys of the unit are moving to
   * that shard.
   */
  readonly send: (asked?: Shard) => void;
}

/** The most redirections of a command that are followed, as in ioredis. */
const maxRedirections = 16;
/**
 * This many redirections of a command are followed without a pause. Nodes that keep redirecting a command to each other need time
 * to agree.
 */
const maxAtOnce = 4;
const pauseMs = 100;

const nothingToWaitFor = (): undefined => undefined;

/** Follows the redirections of commands, and holds back the commands that wait behind them. */
export class ClusterRedirects {
  readonly #redirect: Redirect;
  readonly #confirm: Confirm;
  /** See `Topology.settled`. */
  readonly #settled: (command: Command) => Promise<void> | undefined;
  readonly #detours = new RedirectQueue();

  constructor(
    redirect: Redirect,
    confirm: Confirm,
    settled: (command: Command) => Promise<void> | undefined,
  ) {
    this.#redirect = redirect;
    this.#confirm = confirm;
    this.#settled = settled;
  }

  get isEmpty(): boolean {
    return this.#detours.isEmpty;
  }

  /** Whether new `commands` have to wait for others on the same keys. If so, `go` is called when they may be sent. */
  holds(commands: readonly Command[], owner: object, go: () => void): boolean {
    const isUnsettled = this.#unsettled(commands) !== undefined;
    if (this.#detours.isEmpty && !isUnsettled) return false;
    const keys = keyNames(commands);
    if (!isUnsettled && !this.#detours.isBehind(owner, keys)) return false;
    this.#detours.wait(owner, keys, false, go, () => this.#unsettled(commands));
    return true;
  }

  /**
   * Whether `commands` that have waited before have to wait again for others on the same keys. If so, `go` is called when they may
   * be sent. New commands go behind them.
   */
  holdsBack(commands: readonly Command[], owner: object, go: () => void): boolean {
    if (this.#detours.isEmpty) return false;
    const keys = keyNames(commands);
    if (!this.#detours.isBehindReturned(owner, keys)) return false;
    this.#detours.wait(owner, keys, true, go);
    return true;
  }

  #unsettled(commands: readonly Command[]): Promise<void> | undefined {
    for (const command of commands) {
      const settled = this.#settled(command);
      if (settled !== undefined) return settled;
    }
    return undefined;
  }

  /** Resends a command that is redirected. Also resends a read that has overtaken an earlier command on its keys. */
  attend(unit: RetryUnit & { readonly command: Command; readonly isRead: boolean }): void {
    const { command, isRead } = unit;
    const callbacks = new CommandCallbacks(command);
    const journey = new Journey(unit, this.#redirect, this.#detours);
    command.resolve = (reply) => {
      // An earlier write was redirected meanwhile, so the read may have missed it.
      if (isRead && journey.isOvertaking) return journey.fallBehind();
      journey.end();
      return callbacks.resolve(reply);
    };
    const isOfScript = isScript(command.name);
    if (isOfScript) trackDestination(command);
    command.reject = (error) => {
      const refuse = (): void => {
        journey.end();
        callbacks.reject(error);
      };
      if (!mayBeRedirected(command, error)) refuse();
      else if (isOfScript)
        journey.goOnIf(this.#confirm(command, destinationOf(command), journey.isAsked), refuse);
      else journey.goOn(error, refuse);
    };
  }

  /**
   * Watches a command that cannot be resent alone, such as a command of a transaction. If a node redirects it, the topology learns
   * where its keys are now, and the command fails. Ignores scripts, because a script may have returned the error itself.
   */
  learnFrom(command: Command): void {
    if (isScript(command.name)) return;
    const callbacks = new CommandCallbacks(command);
    command.resolve = (reply) => callbacks.resolve(reply);
    command.reject = (error) => {
      if (mayBeRedirected(command, error)) this.#redirect(error, () => {});
      callbacks.reject(error);
    };
  }

  /**
   * Follows the redirections of a transaction as a whole, from MULTI to EXEC. If a node has redirected one of its commands, EXEC
   * carries out nothing. While the keys move one by one, no single shard can carry out the transaction, so it is retried until all
   * keys have arrived.
   */
  attendTransaction(unit: RetryUnit): void {
    const { commands } = unit;
    const callbacks = commands.map((command) => new CommandCallbacks(command));
    const attempt = (): void => {
      new Outcomes(commands, callbacks, ({ elsewhere, aborted, hand }) => {
        const refuse = (): void => {
          journey.end();
          hand();
        };
        if (aborted && elsewhere !== undefined) journey.goOn(elsewhere, refuse);
        else refuse();
      });
    };
    const send = (asked?: Shard): void => {
      attempt();
      unit.send(asked);
    };
    const journey = new Journey({ ...unit, send }, this.#redirect, this.#detours);
    attempt();
  }
}

/** Sends a unit from node to node. This is safe, because a node does not carry out a command that it redirects. */
class Journey {
  readonly #unit: RetryUnit;
  readonly #redirect: Redirect;
  readonly #detours: RedirectQueue;
  #left = maxRedirections;
  /** Whether the unit was last sent behind ASKING. */
  isAsked = false;
  /** The place of the unit in the queue while it is not sent at once. Other units on the same keys wait behind it. */
  #detour: QueuedRedirect | undefined;

  constructor(unit: RetryUnit, redirect: Redirect, detours: RedirectQueue) {
    this.#unit = unit;
    this.#redirect = redirect;
    this.#detours = detours;
  }

  /** Whether another unit on the same keys has to be carried out first. */
  get isOvertaking(): boolean {
    if (this.#detours.isEmpty || this.#detour !== undefined) return false;
    return this.#detours.isBehindReturned(this.#unit.owner, keyNames(this.#unit.commands));
  }

  /** Resends the unit when the commands ahead of it are carried out. */
  fallBehind(): void {
    const { commands, owner, writer } = this.#unit;
    const handle = writer?.beginWrite();
    this.#detours.wait(owner, keyNames(commands), true, () => {
      this.#send();
      handle?.end("not-sent");
    });
  }

  /** Sends the unit where `error` redirects it. Calls `refuse` if the unit was sent too often, or if `error` is no redirection. */
  goOn(error: Error, refuse: () => void): void {
    if (this.isOvertaking) this.#goOnLater(() => error, nothingToWaitFor, refuse);
    else this.#follow(error, refuse);
  }

  /**
   * Sends the unit where the error that `confirmed` resolves with redirects it. Calls `refuse` if `confirmed` resolves with
   * undefined, or if the unit was sent too often.
   */
  goOnIf(confirmed: Promise<Error | undefined>, refuse: () => void): void {
    let redirection: Error | undefined;
    let pending: Promise<void> | undefined = confirmed.then((error) => {
      redirection = error;
      pending = undefined;
    });
    this.#goOnLater(
      () => redirection,
      () => pending,
      refuse,
    );
  }

  /**
   * Continues when nothing is ahead of the unit and `settled` has nothing left to wait for. Other units on the same keys wait
   * behind this one.
   */
  #goOnLater(
    redirection: () => Error | undefined,
    settled: () => Promise<void> | undefined,
    refuse: () => void,
  ): void {
    const { commands, owner, writer } = this.#unit;
    const keys = keyNames(commands);
    const handle = writer?.beginWrite();
    const leave = (how: (error: Error) => void): void => {
      const error = redirection();
      if (error === undefined) refuse();
      else how(error);
      handle?.end("not-sent");
    };
    const follow = (): void => leave((error) => this.#follow(error, refuse));
    const resend = (): void => leave(() => this.#resend(refuse));
    if (this.#detour !== undefined) Promise.resolve(settled()).then(follow);
    else if (this.#detours.mayFollow(owner, keys))
      this.#detour = this.#detours.follow(owner, keys, follow, settled);
    else this.#detours.wait(owner, keys, true, resend, settled);
  }

  #follow(error: Error, refuse: () => void): void {
    this.#left -= 1;
    if (this.#left < 0) {
      refuse();
      return;
    }
    const { commands, owner, writer } = this.#unit;
    const handle = writer?.beginWrite();
    let isSent = false;
    const again = (asked?: Shard): void => {
      isSent = true;
      this.#send(asked);
      handle?.end("not-sent");
    };
    const isUrgent = this.#left >= maxRedirections - maxAtOnce;
    const isFollowed = this.#redirect(error, (asked) => {
      if (isUrgent) again(asked);
      else setTimeout(again, pauseMs, asked);
    });
    if (!isFollowed) {
      handle?.end("not-sent");
      refuse();
    } else if (isSent) {
      // The commands behind the unit go the same way, in their order.
      if (this.#detour?.isFollower) this.end();
    } else {
      this.#detour ??= this.#detours.begin(owner, keyNames(commands));
      this.#detour.isFollower = false;
    }
  }

  #resend(refuse: () => void): void {
    this.#left -= 1;
    if (this.#left < 0) refuse();
    else this.#send();
  }

  #send(asked?: Shard): void {
    this.isAsked = asked !== undefined;
    for (const command of this.#unit.commands) discardSend(command);
    this.#unit.send(asked);
  }

  /** Ends the detour, whatever the outcome was. */
  end(): void {
    if (this.#detour !== undefined) this.#detours.end(this.#unit.owner, this.#detour);
    this.#detour = undefined;
  }
}

/** The outcomes of the commands of a transaction that was sent once. */
class Outcomes {
  readonly #callbacks: readonly CommandCallbacks[];
  readonly #settled = new Map<number, () => void>();
  /** The error that redirected one of the commands. */
  elsewhere: Error | undefined;
  /** Whether EXEC has carried out nothing. */
  aborted = false;

  constructor(
    commands: readonly Command[],
    callbacks: readonly CommandCallbacks[],
    onEnd: (outcomes: Outcomes) => void,
  ) {
    this.#callbacks = callbacks;
    for (const [index, command] of commands.entries()) {
      const settle = (end: () => void): void => {
        this.#settled.set(index, end);
        if (this.#settled.size === commands.length) onEnd(this);
      };
      command.resolve = (reply) => settle(() => this.#callbacks[index]?.resolve(reply));
      command.reject = (error) => {
        // Scripts are included: while a script is only queued, it returns nothing of its own.
        if (isRedirection(error)) this.elsewhere ??= error;
        // A node redirects EXEC itself if it has queued each command, but no longer has all keys.
        const isExec = command.name.toLowerCase() === "exec";
        if (isExec && (isRedirection(error) || error.message.startsWith("EXECABORT"))) this.aborted = true;
        settle(() => this.#callbacks[index]?.reject(error));
      };
    }
  }

  /** Gives each command its own outcome. */
  readonly hand = (): void => {
    for (const index of this.#callbacks.keys()) this.#settled.get(index)?.();
  };
}
