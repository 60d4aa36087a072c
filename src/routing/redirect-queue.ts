/** Commands that a cluster cannot carry out for a moment, and commands on the same keys, which wait behind them. */

/** A command, or several that are sent together, in the lines of its keys. */
export interface QueuedRedirect {
  readonly keys: readonly string[];
  /** Whether it was sent before and came back, so that it goes ahead of everything that is new. */
  readonly isReturned: boolean;
  /** Sends it; undefined while it is sent again and again by itself. */
  go: (() => void) | undefined;
  /** What it waits for at the head of its lines; undefined when it may go. */
  readonly settled: Settled | undefined;
  /** Whether it keeps its place when it has gone, until it is ended. */
  readonly isKept: boolean;
  /** Whether it goes where a redirection of its own says; others are first sent to where its keys were. */
  isFollower: boolean;
}

/** Resolves when the wait is over; undefined when there is nothing to wait for. */
type Settled = () => Promise<void> | undefined;

/** For each key of one session, or of all commands outside of sessions, a line of detours. */
type Lines = Map<string, QueuedRedirect[]>;

export class RedirectQueue {
  /** Only of those for whom there are any. */
  readonly #linesOf = new Map<object, Lines>();

  get isEmpty(): boolean {
    return this.#linesOf.size === 0;
  }

  /** Whether a new command of `owner` on `keys` has to wait. */
  isBehind(owner: object, keys: readonly string[]): boolean {
    const lines = this.#linesOf.get(owner);
    return lines !== undefined && keys.some((key) => lines.has(key));
  }

  /** Whether a command of `owner` on `keys` that came back has to wait: those that are new wait behind it. */
  isBehindReturned(owner: object, keys: readonly string[]): boolean {
    const lines = this.#linesOf.get(owner);
    return lines !== undefined && keys.some((key) => lines.get(key)?.[0]?.isReturned === true);
  }

  /**
   * Whether a command of `owner` on `keys` that came back may go where its own redirection says. It would overtake those ahead of
   * it that are sent to where the keys were.
   */
  mayFollow(owner: object, keys: readonly string[]): boolean {
    const lines = this.#linesOf.get(owner);
    const ahead = keys.flatMap((key) => lines?.get(key) ?? []);
    return ahead.every(({ isReturned, isFollower }) => isFollower || !isReturned);
  }

  /** Adds one that others wait for from now on, until `end` is called. */
  begin(owner: object, keys: readonly string[]): QueuedRedirect {
    const [go, settled] = [undefined, undefined];
    return this.#add(owner, { keys, isReturned: true, go, settled, isKept: true, isFollower: false });
  }

  /**
   * The same for one that follows a redirection. `go` is called once, when nothing is ahead of it and `settled` has nothing left to
   * wait for.
   */
  follow(owner: object, keys: readonly string[], go: () => void, settled: Settled): QueuedRedirect {
    const follower = { keys, isReturned: true, go, settled, isKept: true, isFollower: true };
    const detour = this.#add(owner, follower);
    this.#advance(owner, [detour]);
    return detour;
  }

  /** Calls `go` when nothing is ahead any more on any of `keys`, and `settled` has nothing left to wait for. */
  wait(owner: object, keys: readonly string[], isReturned: boolean, go: () => void, settled?: Settled): void {
    const detour = { keys, isReturned, go, settled, isKept: false, isFollower: false };
    this.#advance(owner, [this.#add(owner, detour)]);
  }

  /** Ends one that was begun, and releases those that waited for it alone. */
  end(owner: object, detour: QueuedRedirect): void {
    const lines = this.#linesOf.get(owner);
    if (lines !== undefined) this.#advance(owner, this.#remove(owner, lines, detour));
  }

  /** Sends those of `detours`, and of the ones behind them, that may go. */
  #advance(owner: object, detours: readonly QueuedRedirect[]): void {
    const next = new Set(detours);
    // Set iteration includes what is added on the way.
    for (const one of next) {
      const lines = this.#linesOf.get(owner);
      if (one.go === undefined || !lines || one.keys.some((key) => lines.get(key)?.[0] !== one)) continue;
      const settled = one.settled?.();
      if (settled !== undefined) {
        // It keeps its place: whatever comes meanwhile stays behind it.
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

  /** Takes it out of its lines; gives those who are first in them then. */
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
