/** Commands that a cluster cannot carry out for a moment, and commands on the same keys, which wait behind them. */

/** A command, or several that are sent together, in the lines of its keys. */
export interface Detour {
  readonly keys: readonly string[];
  /** Whether it was sent before and came back, so that it goes ahead of everything that is new. */
  readonly isReturned: boolean;
  /** Sends it; undefined while it is sent again and again by itself. */
  readonly go: (() => void) | undefined;
}

/** For each key of one session, or of all commands outside of sessions, a line of detours. */
type Lines = Map<string, Detour[]>;

export class Detours {
  /** Only of those for whom there are any. */
  readonly #linesOf = new Map<object, Lines>();

  get isEmpty(): boolean {
    return this.#linesOf.size === 0;
  }

  /** Whether a command of `owner` on `keys` has to wait. */
  isBehind(owner: object, keys: readonly string[]): boolean {
    const lines = this.#linesOf.get(owner);
    return lines !== undefined && keys.some((key) => lines.has(key));
  }

  /** Adds one that others wait for from now on, until `end` is called. */
  begin(owner: object, keys: readonly string[]): Detour {
    return this.#add(owner, { keys, isReturned: true, go: undefined });
  }

  /** Has `go` called when nothing is ahead any more on any of `keys`. */
  wait(owner: object, keys: readonly string[], isReturned: boolean, go: () => void): void {
    this.#add(owner, { keys, isReturned, go });
  }

  /** Ends one that was begun, and lets those go that waited for it alone. */
  end(owner: object, detour: Detour): void {
    const lines = this.#linesOf.get(owner);
    if (lines === undefined) return;
    const next = new Set(this.#remove(owner, lines, detour));
    // Set iteration includes what is added on the way.
    for (const one of next) {
      const isFirst = one.keys.every((key) => lines.get(key)?.[0] === one);
      if (one.go === undefined || !isFirst) continue;
      for (const follower of this.#remove(owner, lines, one)) {
        next.delete(follower);
        next.add(follower);
      }
      one.go();
    }
  }

  #add(owner: object, detour: Detour): Detour {
    const lines = this.#linesOf.get(owner) ?? new Map<string, Detour[]>();
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
  #remove(owner: object, lines: Lines, detour: Detour): readonly Detour[] {
    const first: Detour[] = [];
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
