/** Serves the page of the dashboard with a feed that a test writes itself, for what no real deployment shows in a test. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { contentSecurityPolicyOf } from "../../../src/http/dashboard/content-security-policy.js";
import type { FeedMessages } from "../../../src/http/dashboard/feed-messages.js";
import { page } from "../../../src/http/dashboard/page.js";

/** Sends a message to the viewer. */
export type Send = <Name extends keyof FeedMessages>(name: Name, message: FeedMessages[Name]) => void;

export interface Answers {
  /** Called for each viewer, with what sends to this viewer. */
  readonly feed: (send: Send) => void;
  /** Whether viewers get no message in between. Otherwise they get an empty one each second, as from an app that lives. */
  readonly isSilent?: boolean;
  /** Answers the feed in place of messages. */
  readonly refusal?: { readonly status: number; readonly text: string };
}

export class PageServer implements AsyncDisposable {
  readonly #server: Server;
  answers: Answers;

  static async start(answers: Answers): Promise<PageServer> {
    const started = new PageServer(answers);
    started.#server.listen(0, "127.0.0.1");
    await once(started.#server, "listening");
    return started;
  }

  private constructor(answers: Answers) {
    this.answers = answers;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}/`;
  }

  /** Ends all connections. Viewers may connect again. */
  hangUp(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  #answer({ headers }: IncomingMessage, response: ServerResponse): void {
    if (headers.accept !== "text/event-stream") {
      response.setHeader("Content-Security-Policy", contentSecurityPolicyOf(page));
      response.setHeader("Content-Type", "text/html; charset=utf-8").end(page);
      return;
    }
    const { feed, refusal, isSilent } = this.answers;
    if (refusal !== undefined) {
      response.writeHead(refusal.status, { "Content-Type": "text/plain" }).end(refusal.text);
      return;
    }
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    const send: Send = (name, message) =>
      response.write(`event: ${name}\ndata: ${JSON.stringify(message)}\n\n`);
    feed(send);
    if (isSilent) return;
    const beat = setInterval(() => send("reads", []), 1_000);
    response.on("close", () => clearInterval(beat));
  }
}
