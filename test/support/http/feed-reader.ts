/** Reads the feed of a dashboard as a browser does. */
import { once } from "node:events";
import { type ClientRequest, get, type IncomingMessage } from "node:http";
import type { FeedMessages } from "../../../src/http/dashboard/feed-messages.js";
import { waitUntil } from "../wait-until.js";

type Type = keyof FeedMessages;

export class FeedReader implements AsyncDisposable {
  readonly response: IncomingMessage;
  /** Whether the server has ended the feed, or the connection was lost. */
  isOver = false;
  readonly #request: ClientRequest;
  readonly #events: { readonly type: string; readonly data: string }[] = [];
  #text = "";

  /** Opens the feed at the path `/tidemark`. Rejects if no feed comes. */
  static async open(port: number, headers: Readonly<Record<string, string>> = {}): Promise<FeedReader> {
    const request = get({
      ...{ host: "127.0.0.1", port, path: "/tidemark", agent: false },
      headers: { accept: "text/event-stream", ...headers },
    });
    const [response] = await once(request, "response");
    const reader = new FeedReader(request, response);
    if (response.statusCode !== 200) {
      await waitUntil(() => reader.isOver, { what: "the refusal has arrived" });
      throw new Error(`${response.statusCode} ${reader.text}`);
    }
    return reader;
  }

  private constructor(request: ClientRequest, response: IncomingMessage) {
    this.#request = request;
    this.response = response;
    const over = (): void => {
      this.isOver = true;
    };
    request.on("error", over);
    response.on("error", over).on("close", over).setEncoding("utf8");
    response.on("data", (text: string) => this.#read(text));
  }

  /** What has come after the last complete event, or the body of a response that is no feed. */
  get text(): string {
    return this.#text;
  }

  /** The messages of one type so far. */
  of<Of extends Type>(type: Of): FeedMessages[Of][] {
    return this.#events.filter((event) => event.type === type).map(({ data }) => JSON.parse(data));
  }

  /** The types of all events so far, in order. */
  get types(): readonly string[] {
    return this.#events.map(({ type }) => type);
  }

  /** The first message of a type that fits, once it has come. */
  async next<Of extends Type>(
    type: Of,
    fits: (message: FeedMessages[Of]) => boolean = () => true,
  ): Promise<FeedMessages[Of]> {
    let found: FeedMessages[Of] | undefined;
    await waitUntil(
      () => {
        found = this.of(type).find(fits);
        return found !== undefined;
      },
      { what: `a fitting ${type} has come` },
    );
    if (found === undefined) throw new Error("nothing has come");
    return found;
  }

  /** Leaves, as a browser does that closes the page. */
  leave(): void {
    this.#request.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    await waitUntil(() => this.isOver, { what: "the connection is closed" });
  }

  #read(text: string): void {
    const parts = `${this.#text}${text}`.split("\n\n");
    this.#text = parts.pop() ?? "";
    for (const part of parts) {
      const fields = new Map(part.split("\n").map((line) => line.split(/: (.*)/s) as [string, string]));
      this.#events.push({ type: fields.get("event") ?? "", data: fields.get("data") ?? "" });
    }
  }
}
