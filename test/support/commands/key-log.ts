/** The writes that a primary has carried out, in their order, and between which of them a value was there. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { RedisServer } from "../servers/redis-server.js";
import { waitUntil } from "../wait-until.js";

/** A stretch of the log: the value was there after this many writes, up to as many. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

/** Each write brings a name of its own to all keys that it changes. */
export class KeyLog {
  readonly #changes = new Map<string, readonly string[]>();
  readonly #indexes = new Map<string, number>();
  #monitor: Socket | undefined;

  /** Listens to a primary from now on. */
  async listenTo({ host, port }: RedisServer): Promise<void> {
    const monitor = connect(port, host);
    const lines = createInterface({ input: monitor });
    this.#monitor = monitor;
    monitor.write("MONITOR\r\n");
    await once(lines, "line");
    lines.on("line", (line) => {
      for (const [, name = ""] of line.matchAll(/"(w\d+)"/g)) if (this.#changes.has(name)) this.#add(name);
    });
  }

  /** Resolves when all that was announced has been carried out; listens no more. */
  async end(): Promise<void> {
    const isComplete = (): boolean => this.#indexes.size === this.#changes.size;
    await waitUntil(isComplete, { what: "the primary has reported every write", timeoutMs: 60_000 });
    this.#monitor?.destroy();
  }

  /** Announces the write `name`, which will change `keys`. */
  announce(name: string, keys: readonly string[]): void {
    this.#changes.set(name, [...new Set(keys)]);
  }

  get length(): number {
    return this.#indexes.size;
  }

  /** How many writes there were with this one. */
  indexOf(name: string): number {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new Error(`nobody has seen the write ${name}`);
    return index;
  }

  /** For each key its values, and how many writes there were with each. */
  timelines(): Timelines {
    const timelines = new Timelines();
    for (const [name, from] of this.#indexes)
      for (const key of this.#changes.get(name) ?? []) timelines.add(key, name, from);
    return timelines;
  }

  #add(name: string): void {
    if (!this.#indexes.has(name)) this.#indexes.set(name, this.#indexes.size + 1);
  }
}

/** The values of one key. */
interface Timeline {
  readonly begins: number[];
  /** Where in the list each value is. */
  readonly places: Map<string, number>;
}

export class Timelines {
  readonly #ofKeys = new Map<string, Timeline>();

  /** The key has that value after so many writes. */
  add(key: string, value: string, from: number): void {
    const timeline: Timeline = this.#ofKeys.get(key) ?? { begins: [], places: new Map() };
    this.#ofKeys.set(key, timeline);
    timeline.places.set(value, timeline.begins.length);
    timeline.begins.push(from);
  }

  /** When all `keys` had these values at once; undefined for never. */
  when(keys: readonly string[], values: readonly (string | null)[]): Interval | undefined {
    let [from, to] = [0, Number.POSITIVE_INFINITY];
    for (const [i, key] of keys.entries()) {
      const timeline = this.#ofKeys.get(key);
      const begins = timeline?.begins ?? [];
      const value = values[i] ?? null;
      const at = value === null ? -1 : timeline?.places.get(value);
      if (at === undefined) return undefined;
      from = Math.max(from, begins[at] ?? 0);
      to = Math.min(to, (begins[at + 1] ?? Number.POSITIVE_INFINITY) - 1);
    }
    return from <= to ? { from, to } : undefined;
  }
}
