/** Keeps a connection to the feed, and says in plain words what is wrong with it. */
import type { FeedMessages } from "../src/http/dashboard/feed-messages.js";

export type FeedState = "connecting" | "live" | "lost" | "refused";

/** Takes each message of the feed. */
export type FeedReceiver = { readonly [Name in keyof FeedMessages]: (message: FeedMessages[Name]) => void };

/** Takes changes of the connection. `trouble` says what is wrong, and is empty if nothing is. */
export type FeedWatcher = (state: FeedState, trouble: string) => void;

/** The feed has a message each second. After this long without one, it is lost although the connection looks open. */
const silentMs = 5_000;
const retryMs = 5_000;
const longestAnswer = 400;

export class Feed {
  readonly #url: string;
  readonly #receiver: FeedReceiver;
  readonly #watcher: FeedWatcher;
  #source: EventSource | undefined;
  #silence: number | undefined;
  #state: FeedState = "connecting";

  constructor(url: string, receiver: FeedReceiver, watcher: FeedWatcher) {
    this.#url = url;
    this.#receiver = receiver;
    this.#watcher = watcher;
  }

  open(): void {
    const source = new EventSource(this.#url);
    this.#source = source;
    for (const name of ["history", "sample", "mark", "reads"] as const) this.#listenTo(source, name);
    source.addEventListener("open", () => this.#expectMessage());
    source.addEventListener("error", () => this.#failed(source));
    this.#expectMessage();
  }

  #listenTo<Name extends keyof FeedMessages>(source: EventSource, name: Name): void {
    source.addEventListener(name, ({ data }: MessageEvent<string>) => {
      // The server that sends the page sends these messages, and both use the same types.
      const message: FeedMessages[Name] = JSON.parse(data);
      this.#heard();
      this.#receiver[name](message);
    });
  }

  #heard(): void {
    this.#become("live", "");
    this.#expectMessage();
  }

  #expectMessage(): void {
    clearTimeout(this.#silence);
    this.#silence = window.setTimeout(() => {
      this.#become("lost", "The app has sent nothing for five seconds. Trying again.");
      // A connection that a network has dropped without notice never fails by itself.
      this.#source?.close();
      this.open();
    }, silentMs);
  }

  #failed(source: EventSource): void {
    if (source !== this.#source) return;
    clearTimeout(this.#silence);
    if (source.readyState !== EventSource.CLOSED) {
      if (this.#state !== "refused") this.#become("lost", "The connection to the app is lost. Trying again.");
      return;
    }
    // An EventSource gives up when the answer is no feed, and it does not tell what the answer was.
    void this.#answer().then((answer) => {
      if (source === this.#source) this.#become("refused", answer);
    });
    window.setTimeout(() => this.open(), retryMs);
  }

  /** What the app answers in place of a feed. */
  async #answer(): Promise<string> {
    const abort = new AbortController();
    try {
      const response = await fetch(this.#url, {
        headers: { Accept: "text/event-stream" },
        signal: abort.signal,
      });
      if (response.ok) return "The app sent no feed. Trying again.";
      const text = (await response.text()).trim().slice(0, longestAnswer);
      return `The app refused with status ${response.status}. ${text}`;
    } catch {
      return "The app does not answer. Trying again.";
    } finally {
      abort.abort();
    }
  }

  #become(state: FeedState, trouble: string): void {
    if (this.#state === state && state === "live") return;
    this.#state = state;
    this.#watcher(state, trouble);
  }
}
