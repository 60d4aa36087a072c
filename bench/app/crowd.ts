/** The users of one app: each opens a page, looks at it for a moment, and opens the next. */
import { setTimeout as sleep } from "node:timers/promises";
import { CookieJar } from "../../test/support/http/cookie-jar.js";
import { KeepAlive } from "../http/keep-alive.js";

/** What users have been given. */
export interface Served {
  requests: number;
  /** Requests that were answered with 503. */
  refused: number;
  /** Pages whose session had forgotten something that the same user had stored before. */
  stale: number;
  setCookieLines: number;
  setCookieBytes: number;
  readonly responseMs: number[];
}

const url = "http://127.0.0.1/";
const [leastMs, mostMs] = [20, 200];
/** Of all requests, those that change the session. */
const adding = 0.2;

export class Crowd implements Disposable {
  readonly #users: readonly User[];
  #served = nothing();

  private constructor(users: readonly User[]) {
    this.#users = users;
  }

  /** Resolves when each of `count` users has a session. */
  static async open(port: number, count: number, products: number): Promise<Crowd> {
    const opened = Array.from({ length: count }, async (_, index) => {
      const user = new User(await KeepAlive.open(port), `10.0.0.${index + 1}`, products);
      await user.visit("/add");
      return user;
    });
    return new Crowd(await Promise.all(opened));
  }

  /** Forgets what has been served until now. */
  begin(): void {
    this.#served = nothing();
  }

  get served(): Served {
    return this.#served;
  }

  /** Lets all users visit until `isOver`. */
  async browse(isOver: () => boolean): Promise<void> {
    await Promise.all(
      this.#users.map(async (user) => {
        while (!isOver()) {
          await sleep(leastMs + Math.random() * (mostMs - leastMs));
          const visit = await user.visit(Math.random() < adding ? "/add" : "/page");
          this.#count(visit);
        }
      }),
    );
  }

  #count({ isRefused, isStale, setCookies, ms }: Visit): void {
    this.#served.requests += 1;
    this.#served.refused += Number(isRefused);
    this.#served.stale += Number(isStale);
    this.#served.setCookieLines += setCookies.length;
    for (const line of setCookies) this.#served.setCookieBytes += `Set-Cookie: ${line}\r\n`.length;
    this.#served.responseMs.push(ms);
  }

  [Symbol.dispose](): void {
    for (const user of this.#users) user[Symbol.dispose]();
  }
}

interface Visit {
  readonly isRefused: boolean;
  readonly isStale: boolean;
  readonly setCookies: readonly string[];
  readonly ms: number;
}

class User implements Disposable {
  readonly #connection: KeepAlive;
  readonly #address: string;
  readonly #products: number;
  readonly #jar = new CookieJar();
  /** The counter in the session, as shown last. */
  #count = 0;

  constructor(connection: KeepAlive, address: string, products: number) {
    this.#connection = connection;
    this.#address = address;
    this.#products = products;
  }

  async visit(path: "/page" | "/add"): Promise<Visit> {
    const product = Math.floor(Math.random() * this.#products);
    const sentAt = performance.now();
    const { head, body } = await this.#connection.ask(
      `${path}?product=${product}`,
      this.#jar.header(url) ?? "",
      `X-Forwarded-For: ${this.#address}`,
    );
    const ms = performance.now() - sentAt;
    const [, status] = head.split(" ", 2);
    if (status !== "200" && status !== "503") throw new Error(`${path} was answered ${head} ${body}`);
    const setCookies = Array.from(head.matchAll(/^Set-Cookie: ([^\r]*)/gim), ([, line = ""]) => line);
    this.#jar.receive(url, setCookies);
    if (status === "503") return { isRefused: true, isStale: false, setCookies, ms };
    const { count }: { count: number } = JSON.parse(body);
    const isStale = count < this.#count + (path === "/add" ? 1 : 0);
    this.#count = count;
    return { isRefused: false, isStale, setCookies, ms };
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}

function nothing(): Served {
  return { requests: 0, refused: 0, stale: 0, setCookieLines: 0, setCookieBytes: 0, responseMs: [] };
}
