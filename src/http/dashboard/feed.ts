/** Shows what one Tidemark does to everybody who looks, and keeps the last minutes for those who look later. */
import { type OpenRequests, requestsOf } from "../../session/open-requests.js";
import type { FeedMessages, Mark, Sample } from "./feed-messages.js";
import { Latest } from "./latest.js";
import { Marks } from "./marks.js";
import { ReadLines } from "./read-lines.js";
import { type SampledTidemark, Samples } from "./samples.js";
import { eventBytes, Viewer } from "./viewer.js";

const sampleEveryMs = 1_000;
const readsEveryMs = 200;
/** Five minutes. */
const maxSamples = 300;
const maxMarks = 100;
/** How many pages may be open at the same time. */
export const maxViewers = 20;

const feeds = new WeakMap<object, Feed>();

/**
 * Takes samples until the Tidemark begins to close, and again after it was opened again. Nothing of a feed keeps the process
 * running.
 */
export class Feed {
  readonly #tidemark: SampledTidemark;
  readonly #requests: OpenRequests;
  readonly #samples: Samples;
  readonly #marks: Marks;
  readonly #reads: ReadLines;
  readonly #latestSamples = new Latest<Sample>(maxSamples);
  readonly #latestMarks = new Latest<Mark>(maxMarks);
  readonly #viewers = new Set<Viewer>();
  #sampling: NodeJS.Timeout | undefined;
  /** Runs while somebody looks. */
  #sendingReads: NodeJS.Timeout | undefined;

  private constructor(tidemark: SampledTidemark) {
    this.#tidemark = tidemark;
    this.#requests = requestsOf(tidemark);
    this.#samples = new Samples(tidemark);
    this.#marks = new Marks(tidemark, (mark) => this.#addMark(mark));
    this.#reads = new ReadLines(tidemark);
    this.#requests.onChange(() => this.#follow());
    this.#follow();
  }

  /** The feed of a Tidemark. All its dashboards share one. */
  static of(tidemark: SampledTidemark): Feed {
    const feed = feeds.get(tidemark) ?? new Feed(tidemark);
    feeds.set(tidemark, feed);
    return feed;
  }

  /**
   * Begins to send everything to a new viewer. Returns undefined if too many look already. The viewer ends when the Tidemark begins
   * to close.
   */
  view(): Viewer | undefined {
    if (this.#viewers.size >= maxViewers) return undefined;
    if (this.#requests.isClosing) return new Viewer(undefined);
    const viewer = new Viewer(eventBytes("history", this.#history()));
    this.#viewers.add(viewer);
    viewer.once("close", () => this.#left(viewer));
    this.#reads.open();
    this.#sendingReads ??= setInterval(() => this.#sendReads(), readsEveryMs).unref();
    return viewer;
  }

  #history(): FeedMessages["history"] {
    return {
      samples: this.#latestSamples.items,
      marks: this.#latestMarks.items,
      reads: this.#reads.latest,
    };
  }

  #left(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0) return;
    clearInterval(this.#sendingReads);
    this.#sendingReads = undefined;
    this.#reads.close();
  }

  /** Begins or ends to take samples, as the Tidemark is open or about to close. */
  #follow(): void {
    if (!this.#requests.isClosing) {
      if (this.#sampling !== undefined) return;
      this.#samples.begin();
      this.#marks.open();
      this.#sampling = setInterval(() => this.#sample(), sampleEveryMs).unref();
      return;
    }
    clearInterval(this.#sampling);
    this.#sampling = undefined;
    this.#marks.close();
    for (const viewer of this.#viewers) viewer.end();
  }

  #sample(): void {
    this.#marks.addRepeated();
    const sample = this.#samples.take();
    this.#latestSamples.add(sample);
    if (this.#viewers.size === 0) return;
    this.#send("sample", sample);
    this.#tidemark.health();
  }

  #addMark(mark: Mark): void {
    this.#latestMarks.add(mark);
    this.#send("mark", mark);
  }

  #sendReads(): void {
    const reads = this.#reads.take();
    if (reads.length > 0) this.#send("reads", reads);
  }

  #send<Type extends keyof FeedMessages>(type: Type, message: FeedMessages[Type]): void {
    if (this.#viewers.size === 0) return;
    const event = eventBytes(type, message);
    for (const viewer of this.#viewers) viewer.send(event);
  }
}
