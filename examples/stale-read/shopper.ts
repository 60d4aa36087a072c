/** A virtual user who sends requests as a browser does, and notices when the cart lacks something that was added. */
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { json } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { CookieJar } from "./cookie-jar.js";
import type { Step } from "./shopping-trip.js";

export class Shopper {
  /** How long each read took, in milliseconds. */
  readonly readMs: number[] = [];
  /** Reads that lacked an item, although the server had answered before that the item was added. */
  staleReads = 0;
  /** The errors of failed requests, as text. */
  readonly errors: string[] = [];
  readonly #origin: string;
  readonly #cart: string;
  readonly #cookies = new CookieJar();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #added = new Map<string, number>();

  constructor(origin: string, cartId: string) {
    this.#origin = origin;
    this.#cart = `/cart/${cartId}`;
  }

  /** Reads the cart once, so that connections are open before anything is measured. */
  async arrive(): Promise<void> {
    await this.#send("GET", this.#cart);
  }

  /** Does the steps one after another. A step that fails is added to `errors`, and the next one follows. */
  async shop(steps: readonly Step[]): Promise<void> {
    for (const { pauseMs, item } of steps) {
      await pause(pauseMs);
      try {
        await (item === undefined ? this.#look() : this.#add(item));
      } catch (error) {
        this.errors.push(String(error));
      }
    }
  }

  leave(): void {
    this.#agent.destroy();
  }

  async #add(item: string): Promise<void> {
    await this.#send("POST", `${this.#cart}/${item}`);
    this.#added.set(item, (this.#added.get(item) ?? 0) + 1);
  }

  async #look(): Promise<void> {
    const start = performance.now();
    const cart = await this.#send("GET", this.#cart);
    this.readMs.push(performance.now() - start);
    if (!this.#holdsAllAdded(cart)) this.staleReads += 1;
  }

  #holdsAllAdded(cart: unknown): boolean {
    const counts = new Map<string, unknown>(Object.entries(cart ?? {}));
    return [...this.#added].every(([item, count]) => Number(counts.get(item) ?? 0) >= count);
  }

  /** Resolves with the body of a 2xx response. Rejects for any other response. */
  async #send(method: string, path: string): Promise<unknown> {
    const cookie = this.#cookies.header();
    // Users have addresses of their own. Here all have one address, so they have browsers of their own instead.
    const browser = { "User-Agent": `browser of ${this.#cart}` };
    const headers = cookie === "" ? browser : { ...browser, cookie };
    const outgoing = request(`${this.#origin}${path}`, { method, agent: this.#agent, headers }).end();
    const [response]: IncomingMessage[] = await once(outgoing, "response");
    if (response === undefined) throw new Error(`${method} ${path}: no response`);
    this.#cookies.take(response.headers["set-cookie"]);
    const status = response.statusCode ?? 0;
    if (status === 200) return json(response);
    response.resume();
    await once(response, "end");
    if (status < 200 || status > 299) throw new Error(`${method} ${path}: status ${status}`);
    return undefined;
  }
}
