/** The stream of events that one open page of a dashboard reads. */
import { Readable } from "node:stream";
import type { FeedMessages } from "./feed-messages.js";

/** A page asks again after this time if its stream ends. */
const retryMs = 1_000;
/** A page that reads too slowly gets no further events above this. */
const maxUnreadBytes = 256 * 1_024;
/** The stream of a page ends after it has missed this many events in a row. A page that is still there asks again. */
const maxMissed = 60;

/** An event as it is sent. All viewers share the bytes. */
export function eventBytes<Type extends keyof FeedMessages>(type: Type, message: FeedMessages[Type]): Buffer {
  return Buffer.from(`event: ${type}\ndata: ${JSON.stringify(message)}\n\n`);
}

export class Viewer extends Readable {
  readonly #maxBytes: number;
  #missed = 0;

  /** `history` is the first event. Without it the stream ends at once, so that the page asks again. */
  constructor(history: Buffer | undefined) {
    super();
    this.#maxBytes = (history?.length ?? 0) + maxUnreadBytes;
    // Frameworks destroy a stream with an error when its reader has left.
    this.on("error", () => {});
    this.push(`retry: ${retryMs}\n\n`);
    this.push(history ?? null);
  }

  /** Does nothing, because events come when they happen. */
  override _read(): void {}

  /** Sends an event, unless the page is too far behind. */
  send(event: Buffer): void {
    if (this.readableLength <= this.#maxBytes) {
      this.#missed = 0;
      this.push(event);
      return;
    }
    this.#missed += 1;
    if (this.#missed >= maxMissed) this.destroy();
  }

  /** Ends the stream. A page that does not read loses the rest, because the end must not wait for the page. */
  end(): void {
    if (this.readableLength > 0 || this.isPaused()) this.destroy();
    else this.push(null);
  }
}
