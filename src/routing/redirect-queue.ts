/** Queues commands that a cluster cannot carry out for a moment, and commands on the same keys, which wait behind them. */

/** A command, or several commands that are sent together, in the lines of their keys. */
export interface QueuedRedirect {
  readonly keys: readonly string[];
  /** Whether the command was sent before and came back. It then goes ahead of all new commands. */
  readonly isReturned: boolean;
  /** Sends the command. Undefined if the queue only keeps its place, because its owner resends the command. */
  go: (() => void) | undefined;
  /** A further wait of the command once it is first in its lines. Undefined if it then waits for nothing else. */
  readonly settled: Settled | undefined;
  /** Whether the command keeps its place after it has gone, until it is ended. */
  readonly isKept: boolean;
  /** Whether the command goes where its own redirection says. Other commands are first sent to where their keys were. */
  isFollower: boolean;
}

/** Resolves when the wait is over. Undefined if there is nothing to wait for. */
type Settled = () => Promise<void> | undefined;

/** The line of detours for each key, of one session or of all commands outside of sessions. */
type Lines = Map<string, QueuedRedirect[]>;

export class RedirectQueue {
  /** Contains only the owners that have detours. */
  readonly #linesOf = new Map<object, Lines>();

  get isEmpty(): boolean {
    return this.#linesOf.size === 0;
  }

  /** Whether a new command of `owner` on `keys` has to wait. */
  isBehind(owner: object, keys: readonly string[]): boolean {
    const lines = this.#linesOf.get(owner);
    return lines !== undefined && keys.some((key) => lines.has(key));
  }

  /** Whether a returned command of `owner` on `keys` has to wait. New commands wait behind a returned command. */
  isBehindReturned(owner: object, keys: readonly string[]): boolean {
    const lines = this.#linesOf.get(owner);
    return lines !== undefined && keys.some((key) => lines.get(key)?.[0]?.isReturned === true);
  }

  /**
   * Whether a returned command of `owner` on `keys` may go where its own redirection says. It may not if commands ahead of it are
   * sent to where the keys were, because it would overtake them.
   */
  mayFollow(owner: object, keys: readonly string[]): boolean {
    const lines = this.#linesOf.get(owner);
    const ahead = keys.flatMap((key) => lines?.get(key) ?? []);
    return ahead.every(({ isReturned, isFollower }) => isFollower || !isReturned);
  }

  /** Adds a command that others wait for from now on, until `end` is called. */
  begin(owner: object, keys: readonly string[]): QueuedRedirect {
    const [go, settled] = [undefined, undefined];
    return this.#add(owner, { keys, isReturned: true, go, settled, isKept: true, isFollower: false });
  }

  /**
   * Adds a command that follows a redirection. Others wait for it until `end` is called. `go` is called once, when nothing is ahead
   * of the command and `settled` has nothing left to wait for.
   */
  follow(owner: object, keys: readonly string[], go: () => void, settled: Settled): QueuedRedirect {
    const follower = { keys, isReturned: true, go, settled, isKept: true, isFollower: true };
    const detour = this.#add(owner, follower);
    this.#advance(owner, [detour]);
    return detour;
  }

  /** Calls `go` when nothing is ahead on any of `keys` any more and `settled` has nothing left to wait for. */
  wait(owner: object, keys: readonly string[], isReturned: boolean, go: () => void, settled?: Settled): void {
    const detour = { keys, isReturned, go, settled, isKept: false, isFollower: false };
    this.#advance(owner, [this.#add(owner, detour)]);
  }

  /** Ends a detour that was begun, and releases the commands that waited only for that detour. */
  end(owner: object, detour: QueuedRedirect): void {
    const lines = this.#linesOf.get(owner);
    if (lines !== undefined) this.#advance(owner, this.#remove(owner, lines, detour));
  }

  /** Sends those of `detours` that may go, and those of the commands behind them that may go. */
  #advance(owner: object, detours: readonly QueuedRedirect[]): void {
    const next = new Set(detours);
    // A loop over a Set includes the entries that are added on the way.
    for (const one of next) {
      const lines = this.#linesOf.get(owner);
      if (one.go === undefined || !lines || one.keys.some((key) => lines.get(key)?.[0] !== one)) continue;
      const settled = one.settled?.();
      if (settled !== undefined) {
        // The detour keeps its place, so that later commands stay behind it.
        settled.then(() => this.#advance(owner, [one]));
        continue;
      }
      const { go } = one;
      if (one.isKept) one.go = undefined;
      else
        for (const follower of this.#remove(owner, lines, one)) {
          next.delete(follower);
          next.add(follower);
        }
      go();
    }
  }

  #add(owner: object, detour: QueuedRedirect): QueuedRedirect {
    const lines = this.#linesOf.get(owner) ?? new Map<string, QueuedRedirect[]>();
    for (const key of detour.keys) {
      const line = lines.get(key) ?? [];
      const behind = detour.isReturned ? line.findIndex(({ isReturned }) => !isReturned) : -1;
      line.splice(behind < 0 ? line.length : behind, 0, detour);
      lines.set(key, line);
    }
    if (lines.size > 0) this.#linesOf.set(owner, lines);
    return detour;
  }

  /** Takes `detour` out of its lines. Returns the detours that are first in those lines then. */
  #remove(owner: object, lines: Lines, detour: QueuedRedirect): readonly QueuedRedirect[] {
    const first: QueuedRedirect[] = [];
    for (const key of detour.keys) {
      const line = (lines.get(key) ?? []).filter((one) => one !== detour);
      const [next] = line;
      if (next === undefined) lines.delete(key);
      else {
        lines.set(key, line);
        first.push(next);
      }
    }
    if (lines.size === 0) this.#linesOf.delete(owner);
    return first;
  }
}
