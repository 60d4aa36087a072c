/** The cookies of one browser whose requests overlap and whose responses arrive in any order. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { CarrierRequest } from "../../../src/http/carriers/carrier.js";
import { type RequestSession, requestSessions } from "../../../src/http/request-session.js";
import { hasDoublings } from "../../support/doublings.js";
import { Headers } from "../../support/http/headers.js";
import { endWrite, HandMadeSessions } from "../../support/stages/hand-made-sessions.js";
import { startWrite } from "../../support/stages/open-writes.js";

/** How many runs with random numbers of their own: one in four of all, but for one at least. */
const seedsOf = (all: number): number => (hasDoublings ? all : Math.ceil(all / 4));

/** The growth of the replication stream with each write. */
const bytesPerWrite = 150;

type Process = (request: CarrierRequest) => RequestSession;

/** The cookies of one browser, as the headers of its requests and of the responses that reach it. */
class Jar {
  readonly #cookies = new Map<string, string>();
  readonly #processes: readonly Process[];
  #asked = 0;

  /** Its requests are answered by so many processes in turn. */
  constructor(processes = 1) {
    this.#processes = Array.from({ length: processes }, () =>
      requestSessions(new HandMadeSessions(), { secret: "a secret of this test" }),
    );
  }

  get size(): number {
    return this.#cookies.size;
  }

  /** Of the header that brings them. */
  get bytes(): number {
    return this.#header.length;
  }

  request(): RequestSession {
    const process = this.#processes[this.#asked++ % this.#processes.length];
    if (process === undefined) throw new Error("there is no process");
    return process({ headers: { cookie: this.#header } });
  }

  get #header(): string {
    return [...this.#cookies].map((pair) => pair.join("=")).join("; ");
  }

  receive({ cookies }: Headers): void {
    for (const line of cookies) {
      const [pair = "", maxAge] = line.split("; ");
      const [name = "", value = ""] = pair.split("=");
      if (maxAge === "Max-Age=0") this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
  }

  /** The offset that a request sent now would require. */
  get offset(): number {
    return Math.max(0, ...this.request().session.positions.map(({ offset }) => offset));
  }
}

/** Random numbers that are the same in every run: mulberry32. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A token of a multiple of 15 seconds looks rounded, and stays for one response longer. None of the tests lasts until the next. */
const looksExact = Date.UTC(2026, 0, 1) + 1;

interface Exchange {
  readonly request: RequestSession;
  /** The response on its way back, once the server has answered. */
  answer?: Answer;
}

function takeAny<T>(from: T[], random: (below: number) => number): T | undefined {
  return from.splice(random(from.length), 1)[0];
}

/** Requests begin, are carried out and come back in any order; `check` is called whenever one has come back. */
function overlap(
  seed: number,
  inFlight: number,
  check: (jar: Jar, newest: number) => void,
  { processes = 1, steps = 400 } = {},
): Jar {
  const random = randomOf(seed);
  const jar = new Jar(processes);
  const inTheAir: Exchange[] = [];
  let offset = 0;
  let newest = 0;
  for (let step = 0; step < steps; step += 1) {
    const kind = random(4);
    if (kind === 0 && inTheAir.length < inFlight) {
      const request = jar.request();
      startWrite(request.session);
      inTheAir.push({ request });
    } else if (kind === 1 && inTheAir.length < inFlight) {
      const request = jar.request();
      inTheAir.push({ request, answer: read(request) });
      continue;
    }
    offset += bytesPerWrite;
    if (kind === 2) {
      const write = inTheAir.filter(({ answer }) => !answer)[random(inFlight)];
      if (write) write.answer = answered(write.request, offset);
    } else {
      const arrived = takeAny(inTheAir, random);
      const answer = arrived?.answer ?? (arrived && answered(arrived.request, offset));
      if (answer === undefined) continue;
      jar.receive(answer.headers);
      newest = Math.max(newest, answer.offset);
      check(jar, newest);
    }
  }
  return jar;
}

interface Answer {
  /** That of the write, 0 after a read. */
  readonly offset: number;
  readonly headers: Headers;
}

function answered({ session, carry }: RequestSession, offset: number): Answer {
  const headers = new Headers();
  endWrite(session, offset);
  carry(headers);
  return { offset, headers };
}

function read({ carry }: RequestSession): Answer {
  const headers = new Headers();
  carry(headers);
  return { offset: 0, headers };
}

afterEach(() => {
  vi.useRealTimers();
});

describe("the cookies of one browser", () => {
  it.each([
    [1, 1],
    [2, 2],
    [3, 3],
    [5, 12],
    [8, 16],
  ])(
    "with %i writes in flight require every write whose response has arrived, and are at most %i",
    (inFlight, most) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      for (let seed = 1; seed <= seedsOf(40); seed += 1) {
        vi.setSystemTime(looksExact);
        overlap(seed, inFlight, (jar, newest) => {
          vi.setSystemTime(Date.now() + 1);
          expect(jar.offset, `seed ${seed}`).toBeGreaterThanOrEqual(newest);
          expect(jar.size, `seed ${seed}`).toBeLessThanOrEqual(most);
        });
      }
    },
  );

  it("lose no write when more writes are in flight, and stay as few while the user only reads", () => {
    for (let seed = 1; seed <= seedsOf(10); seed += 1) {
      let last = 0;
      const jar = overlap(seed, 60, (now, newest) => {
        expect(now.offset, `seed ${seed}`).toBeGreaterThanOrEqual(newest);
        last = newest;
      });
      const { size } = jar;
      for (let reads = 0; reads < 50; reads += 1) jar.receive(read(jar.request()).headers);
      expect(jar.size, `seed ${seed}`).toBeLessThanOrEqual(Math.max(size, 8));
      expect(jar.offset, `seed ${seed}`).toBeGreaterThanOrEqual(last);
    }
  });

  it.each([
    [1, 1],
    [300, 1],
    [1000, 1],
    [1000, 4],
    [1000, 10],
  ])(
    "of %i concurrent writes, answered by %i processes, cover every write in at most 2 kB a process",
    (count, processes) => {
      for (let seed = 1; seed <= seedsOf(3); seed += 1) {
        const random = randomOf(seed);
        const jar = new Jar(processes);
        const requests = Array.from({ length: count }, () => jar.request());
        for (const { session } of requests) startWrite(session);
        const answers = requests.map((request, n) => answered(request, (n + 1) * bytesPerWrite));
        let newest = 0;
        while (answers.length > 0) {
          const answer = takeAny(answers, random);
          if (answer === undefined) break;
          jar.receive(answer.headers);
          newest = Math.max(newest, answer.offset);
          // Reading all the tokens takes most of the time.
          if (answers.length % 10 === 0) expect(jar.offset, `seed ${seed}`).toBeGreaterThanOrEqual(newest);
          expect(jar.bytes, `seed ${seed}`).toBeLessThanOrEqual(2_000 * processes);
        }
      }
    },
  );

  it.each([1, 4])("of 300 writes constantly in flight, answered by %i processes, stay few", (processes) => {
    for (let seed = 1; seed <= seedsOf(3); seed += 1) {
      let most = 0;
      let arrived = 0;
      overlap(
        seed,
        300,
        (jar, newest) => {
          arrived += 1;
          // Reading all the tokens takes most of the time.
          if (arrived % 20 === 0) expect(jar.offset, `seed ${seed}`).toBeGreaterThanOrEqual(newest);
          most = Math.max(most, jar.bytes);
        },
        { processes, steps: 3_000 },
      );
      expect(most, `seed ${seed}`).toBeLessThanOrEqual(3_000);
    }
  });
});
