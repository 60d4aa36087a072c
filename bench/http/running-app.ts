/** An app that runs in a process of its own, and the users who ask it. */
import { performance } from "node:perf_hooks";
import { Worker } from "../report/worker.js";
import type { AppOptions, AppQuestion } from "./app.js";
import type { Contestant } from "./contestants.js";
import { type Answer, KeepAlive, requestOf } from "./keep-alive.js";
import { type Route, routes, value, write } from "./routes.js";
import { sendOnSchedule } from "./schedule.js";
import type { Usage } from "./usage.js";

export const connections = 32;
/** Requests on schedule seldom have to wait for one of so many. */
const scheduledConnections = 256;

/** What one block of requests has taken. */
export interface Block {
  readonly requests: number;
  readonly ms: number;
  readonly usage: Usage;
  /** Of each request. */
  readonly timesMs: readonly number[];
  /** The share of the time in which the bench's own process was busy. */
  readonly benchBusy: number;
}

export class RunningApp implements Disposable {
  readonly #worker: Worker;
  readonly #port: number;
  readonly #connections: KeepAlive[] = [];
  /** What the users bring who have written, each of them something else. */
  #cookies: readonly (readonly string[])[] = [];
  #requests = 0;

  private constructor(worker: Worker, port: number) {
    this.#worker = worker;
    this.#port = port;
  }

  static async start(execPath: string, options: AppOptions): Promise<RunningApp> {
    const worker = new Worker(new URL("./app.js", import.meta.url), [], execPath);
    const app = new RunningApp(worker, await worker.ask<number>(options satisfies AppQuestion));
    await app.#open(connections);
    await app.#prepare(options.contestant);
    return app;
  }

  async #prepare(contestant: Contestant): Promise<void> {
    this.#cookies = await Promise.all(
      this.#connections.map(
        (connection) =>
          new Promise<string[]>((resolve) => {
            connection.send(this.#requestOf(write), (answer) =>
              resolve(cookiesOf(checked(write, answer).head)),
            );
          }),
      ),
    );
    const isMeantToSetCookies = contestant === "tidemark" || contestant === "signed cookie";
    for (const cookies of this.#cookies)
      if (cookies.length > 0 !== isMeantToSetCookies)
        throw new Error(`${contestant} has set these cookies: ${cookies}`);
  }

  /** Asks for routes in mixed order, so that the app is compiled for all of them. */
  async warmUp(requests: number, random: () => number): Promise<void> {
    await this.#askAll(requests, () => routes[Math.floor(random() * routes.length)] ?? write);
  }

  /** Asks for one route as fast as it is answered. */
  async serve(route: Route, requests: number): Promise<Block> {
    await this.#worker.ask("begin" satisfies AppQuestion);
    const busyBefore = performance.eventLoopUtilization();
    const startedAt = performance.now();
    const timesMs = await this.#askAll(requests, () => route);
    const ms = performance.now() - startedAt;
    const { utilization: benchBusy } = performance.eventLoopUtilization(busyBefore);
    const usage = await this.#worker.ask<Usage>("end" satisfies AppQuestion);
    return { requests, ms, usage, timesMs, benchBusy };
  }

  /** Asks for one route at each of `moments`. Resolves with the times from when each request was due. */
  async serveOnSchedule(route: Route, moments: readonly number[]): Promise<readonly number[]> {
    await this.#open(scheduledConnections);
    return await sendOnSchedule(this.#connections, moments, (connection, onAnswer) => {
      connection.send(this.#requestOf(route), (answer) => {
        checked(route, answer);
        onAnswer();
      });
    });
  }

  async #open(count: number): Promise<void> {
    while (this.#connections.length < count) this.#connections.push(await KeepAlive.open(this.#port));
  }

  /** Every connection has one request on its way. Resolves with the times of all requests. */
  async #askAll(requests: number, next: () => Route): Promise<readonly number[]> {
    const timesMs: number[] = [];
    let left = requests;
    await new Promise<void>((resolve) => {
      const ask = (connection: KeepAlive): void => {
        if (left-- <= 0) return;
        const route = next();
        const sentAt = performance.now();
        connection.send(this.#requestOf(route), (answer) => {
          timesMs.push(performance.now() - sentAt);
          checked(route, answer);
          if (timesMs.length === requests) resolve();
          else ask(connection);
        });
      };
      for (const connection of this.#connections) ask(connection);
    });
    return timesMs;
  }

  /** Each request comes from another user, whose address a load balancer adds. */
  #requestOf({ method, path, returning = false, otherCookies = [] }: Route): string {
    this.#requests += 1;
    const cookies = returning ? (this.#cookies[this.#requests % this.#cookies.length] ?? []) : [];
    const address = `10.${this.#requests >> 16}.${(this.#requests >> 8) & 255}.${this.#requests & 255}`;
    return requestOf(method, path, [...cookies, ...otherCookies].join("; "), `X-Forwarded-For: ${address}`);
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection[Symbol.dispose]();
    this.#worker[Symbol.dispose]();
  }
}

function checked({ path }: Route, answer: Answer): Answer {
  if (answer.body === value && answer.head.startsWith("HTTP/1.1 200 ")) return answer;
  throw new Error(`${path} was answered ${answer.head} ${answer.body}`);
}

/** What the user brings next time. */
function cookiesOf(head: string): string[] {
  return Array.from(head.matchAll(/^Set-Cookie: ([^;\r]*)/gim), ([, pair = ""]) => pair);
}
