/** The latest reads of one Tidemark, from `tidemark:route`. */
import { type RouteMessage, routeChannel } from "../../diagnostics/channels.js";
import type { ReadLine } from "./feed-messages.js";
import { Latest } from "./latest.js";
import { shortened } from "./samples.js";

/** Nobody reads more lines than this several times a second. */
const maxLines = 100;

export class ReadLines {
  readonly #tidemark: object;
  readonly #latest = new Latest<ReadLine>(maxLines);
  /** The lines that {@link take} has not returned yet. */
  #fresh: ReadLine[] = [];
  #isOpen = false;
  #isSubscribed = false;
  readonly #listener = (message: RouteMessage): void => this.#hear(message);

  constructor(tidemark: object) {
    this.#tidemark = tidemark;
  }

  /** The latest lines, the oldest first. */
  get latest(): readonly ReadLine[] {
    return this.#latest.items;
  }

  open(): void {
    this.#isOpen = true;
    this.#subscribe(true);
  }

  close(): void {
    this.#isOpen = false;
    this.#subscribe(false);
    this.#fresh = [];
  }

  /** The reads since the call before, at most {@link maxLines}. */
  take(): readonly ReadLine[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    this.#subscribe(this.#isOpen);
    return fresh;
  }

  #hear({ tidemark, reason, command, node, role, level, outcome, durationMs }: RouteMessage): void {
    if (tidemark !== this.#tidemark || reason === "not-a-read" || this.#fresh.length >= maxLines) return;
    const line: ReadLine = {
      ...{ at: Date.now(), command, node, role, reason, outcome },
      level: typeof level === "object" ? "bounded" : level,
      durationMs: shortened(durationMs),
    };
    this.#latest.add(line);
    this.#fresh.push(line);
    // Under load the lines are full at once. A command without a subscriber costs less. Node may skip the next subscriber of a
    // message during which one leaves, so this one leaves a moment later.
    if (this.#fresh.length === maxLines) queueMicrotask(() => this.#rest());
  }

  #rest(): void {
    if (this.#fresh.length === maxLines) this.#subscribe(false);
  }

  #subscribe(isWanted: boolean): void {
    if (isWanted === this.#isSubscribed) return;
    this.#isSubscribed = isWanted;
    if (isWanted) routeChannel.subscribe(this.#listener);
    else routeChannel.unsubscribe(this.#listener);
  }
}
