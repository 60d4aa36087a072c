/** A server whose one handler answers while writes that a test starts and ends by hand are in flight. */
import type { Server, ServerResponse } from "node:http";
import { deferHead } from "../../../src/http/deferred-head.js";
import { waitUntil } from "../wait-until.js";
import { type Answer, ask, type Listening, serve } from "./exchange.js";

/** Writes of one response; the head that is let go says how many had ended. */
export class HandMadeWrites {
  #started = 0;
  #ended = 0;
  #waiting: { until: number; resolve: () => void }[] = [];

  start(): void {
    this.#started += 1;
  }

  end(): void {
    this.#ended += 1;
    for (const { until, resolve } of this.#waiting) if (this.#ended >= until) resolve();
  }

  settled(): Promise<void> | undefined {
    if (this.#ended === this.#started) return undefined;
    return new Promise((resolve) => this.#waiting.push({ until: this.#started, resolve }));
  }

  hold(response: ServerResponse): void {
    deferHead(response, {
      headBuilt: () => {},
      settled: () => this.settled(),
      carry: (head) => {
        if (this.#ended > 0) head.setHeader("Ended", String(this.#ended));
      },
      held: () => {},
      headSent: () => {},
    });
  }
}

/** A server with one handler, and what it has done so far. */
export class HeldServer implements AsyncDisposable {
  readonly writes = new HandMadeWrites();
  readonly log: unknown[] = [];
  response: ServerResponse | undefined;
  #listening: Listening | undefined;

  static async serve(handler: (response: ServerResponse, held: HeldServer) => void): Promise<HeldServer> {
    const held = new HeldServer();
    held.#listening = await serve((_request, response) => {
      held.response = response;
      held.writes.hold(response);
      handler(response, held);
    });
    return held;
  }

  get port(): number {
    return this.#listening?.port ?? 0;
  }

  get server(): Server | undefined {
    return this.#listening?.server;
  }

  /** Asks, and resolves with the answer still to come once the handler has been called. */
  async asked(): Promise<{ answer: Promise<Answer> }> {
    const answer = ask(this.port);
    answer.then(
      () => this.log.push("answered"),
      () => this.log.push("broken off"),
    );
    await waitUntil(() => this.response !== undefined, { what: "the handler has been called" });
    return { answer };
  }

  release(): void {
    this.log.push("write ended");
    this.writes.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening?.[Symbol.asyncDispose]();
  }
}
