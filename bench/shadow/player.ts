/** A process that plays the recorded load: through Tidemark, or reading from replicas picked at random. */
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { type PolicyForecast, type ShadowReport, Tidemark } from "../../src/index.js";
import { waitUntil } from "../../test/support/wait-until.js";
import { answer } from "../report/worker.js";
import { type Load, loadOf, type Operation, settingOf, users } from "./load.js";

export interface Servers {
  readonly primary: string;
  readonly replicas: readonly string[];
}

export type Kind = "live" | "random" | `shadow ${number}`;

/** The first question names the servers. */
export type PlayerQuestion = Servers | Play;

export interface Play {
  readonly kind: Kind;
  readonly seed: number;
  readonly forMs: number;
  /** Plays with different names share no counters. */
  readonly name: string;
}

export interface LivePlay {
  /** How many commands were sent for each reason. */
  readonly sent: Readonly<Record<string, number>>;
}

export interface ShadowPlay {
  readonly counts: ShadowReport["counts"];
  readonly tidemark: PolicyForecast;
  readonly random: PolicyForecast;
}

export interface RandomPlay {
  /** Without the reads that were given while a write of their request was in flight. */
  readonly reads: number;
  readonly missed: number;
}

/** Runs one operation of a request. `isBehindWrite` is whether a write of the same step is in flight. */
type Run = (operation: Operation, isBehindWrite: boolean) => Promise<unknown>;

/** What one user has: opens a request, and ends it when its operations are over. */
interface User {
  begin(): Run;
  end(): Promise<void>;
}

const sampleOf = (kind: Kind): number => (kind === "shadow 0.1" ? 0.1 : 1);
let servers: Servers | undefined;
const tidemarks = new Map<number, Tidemark>();
let direct: { readonly primary: Redis; readonly replicas: readonly Redis[] } | undefined;

answer(async (question: PlayerQuestion): Promise<LivePlay | ShadowPlay | RandomPlay | undefined> => {
  if ("primary" in question) {
    servers = question;
    for (const shadowSample of [1, 0.1]) {
      const tidemark = new Tidemark({ ...servers, shadowSample, mode: "off" });
      await tidemark.ready();
      tidemarks.set(shadowSample, tidemark);
    }
    direct = {
      primary: new Redis(servers.primary),
      replicas: servers.replicas.map((url) => new Redis(url)),
    };
    for (let user = 0; user < users; user += 1) await direct.primary.set(settingOf(user), "the same");
    return undefined;
  }
  const load = loadOf(question.seed, question.forMs);
  if (question.kind === "random") return await playRandomly(load, question.name);
  const tidemark = tidemarks.get(sampleOf(question.kind));
  if (tidemark === undefined) throw new Error(`there is no Tidemark for ${question.kind}`);
  const isLive = question.kind === "live";
  tidemark.mode = isLive ? "live" : "shadow";
  const before = sentBy(tidemark);
  await play(load, () => new TidemarkUser(tidemark, question.name));
  if (!isLive)
    await waitUntil(
      async () => tidemark.shadow.report().counts.ended >= tidemark.shadow.report().counts.observed,
      {
        what: "all observed reads are over",
      },
    );
  const after = sentBy(tidemark);
  const report = tidemark.shadow.report();
  tidemark.mode = "off";
  if (isLive)
    return {
      sent: Object.fromEntries(
        [...after].map(([reason, count]) => [reason, count - (before.get(reason) ?? 0)]),
      ),
    };
  return {
    counts: report.counts,
    tidemark: forecastOf(report, "tidemark"),
    random: forecastOf(report, "random-replica"),
  };
});

function sentBy(tidemark: Tidemark): Map<string, number> {
  const sent = new Map<string, number>();
  for (const { reason, count } of tidemark.stats().commands)
    sent.set(reason, (sent.get(reason) ?? 0) + count);
  return sent;
}

function forecastOf({ policies }: ShadowReport, policy: PolicyForecast["policy"]): PolicyForecast {
  const found = policies.find((one) => one.policy === policy);
  if (found === undefined) throw new Error(`there is no policy ${policy}`);
  return found;
}

/** Plays `load` at its times. A user whose request takes longer sends the next one when it is over. */
async function play(load: Load, userOf: () => User): Promise<void> {
  const startedAt = performance.now();
  await Promise.all(
    load.map(async (requests) => {
      const user = userOf();
      for (const { at, steps } of requests) {
        const waitMs = at - (performance.now() - startedAt);
        if (waitMs > 0) await pause(waitMs);
        const run = user.begin();
        for (const step of steps) {
          const writes = step.some(({ name }) => name !== "get");
          await Promise.all(step.map((operation) => run(operation, writes)));
        }
        await user.end();
      }
    }),
  );
}

/** A user whose requests carry a token, as with the middleware. */
class TidemarkUser implements User {
  readonly #tidemark: Tidemark;
  readonly #name: string;
  #session: ReturnType<Tidemark["session"]> | undefined;
  #token = "";

  constructor(tidemark: Tidemark, name: string) {
    this.#tidemark = tidemark;
    this.#name = name;
  }

  begin(): Run {
    const session = this.#tidemark.session({ token: this.#token });
    this.#session = session;
    return ({ name, key }) => send(session.redis, name, keyIn(this.#name, key));
  }

  async end(): Promise<void> {
    // A response takes at least another turn of the event loop.
    await new Promise(setImmediate);
    await this.#session?.settled();
    if (this.#session?.wrote === true) this.#token = this.#session.keyedToken();
  }
}

/** A user who reads from replicas picked at random, and who knows what to find there. */
class RandomUser implements User {
  readonly #name: string;
  readonly #tally: { reads: number; missed: number };
  /** The latest value that the user has written to each counter. */
  readonly #written = new Map<string, number>();

  constructor(name: string, tally: { reads: number; missed: number }) {
    this.#name = name;
    this.#tally = tally;
  }

  begin(): Run {
    return async ({ name, key: short }, isBehindWrite) => {
      if (direct === undefined) throw new Error("there are no servers");
      const key = keyIn(this.#name, short);
      if (name !== "get") {
        const reply = await send(direct.primary, name, key);
        if (name === "incr") this.#written.set(key, Math.max(this.#written.get(key) ?? 0, Number(reply)));
        return;
      }
      const least = this.#written.get(key) ?? 0;
      const replica = direct.replicas[Math.floor(Math.random() * direct.replicas.length)];
      const reply = await replica?.get(key);
      if (isBehindWrite) return;
      this.#tally.reads += 1;
      if (least > 0 && Number(reply ?? 0) < least) this.#tally.missed += 1;
    };
  }

  end(): Promise<void> {
    return new Promise(setImmediate);
  }
}

async function playRandomly(load: Load, name: string): Promise<RandomPlay> {
  const tally = { reads: 0, missed: 0 };
  await play(load, () => new RandomUser(name, tally));
  return tally;
}

function send(client: Redis, name: Operation["name"], key: string): Promise<unknown> {
  if (name === "get") return client.get(key);
  return name === "incr" ? client.incr(key) : client.set(key, "the same");
}

/** Settings keep their value in all plays. Counters begin at 0 in each. */
function keyIn(play: string, key: string): string {
  return key.startsWith("setting:") ? key : `${play}:${key}`;
}
