/** How long a process remembers which texts it gave to requests with the same cookies. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Bursts } from "../../../src/http/carriers/bursts.js";
import type { OutgoingToken } from "../../../src/http/carriers/carrier.js";

const maxBursts = 10_000;
let bursts: Bursts;
let texts = 0;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  bursts = new Bursts();
});

afterEach(() => {
  vi.useRealTimers();
});

/** The kind of the text for a response to a request with this cookie, which was sent before all earlier responses. */
function kindFor(cookie: string, exact = 1): string {
  texts += 1;
  const text = `exact ${texts}`;
  const token: OutgoingToken = {
    changed: true,
    usesOldSecret: false,
    ttlMs: 60_000,
    arrivedAt: 0,
    text: () => text,
    rounded: (level) => `rounded ${level}`,
    histories: () => "",
    inForce: () => new Set(),
    contained: () => new Set(),
  };
  return bursts.textFor({ headers: { cookie } }, token, exact).split(" ")[0] ?? "";
}

function fill(from: number, count: number): void {
  for (let i = from; i < from + count; i++) kindFor(`other ${i}`);
}

describe("Bursts.textFor", () => {
  it("gives as many exact texts to a burst as it may have, then rounded ones", () => {
    const kinds = Array.from({ length: 5 }, () => kindFor("a", 3));
    expect(kinds).toEqual(["exact", "exact", "exact", "rounded", "rounded"]);
    expect(kindFor("b", 3)).toBe("exact");
  });

  it("remembers 10,000 bursts, and forgets the one whose latest response is the oldest", () => {
    expect(kindFor("a")).toBe("exact");
    expect(kindFor("b")).toBe("exact");
    fill(0, maxBursts - 2);
    // Both are remembered. The response makes this burst the newest.
    expect(kindFor("a")).toBe("rounded");
    fill(maxBursts, 1);
    expect(kindFor("b")).toBe("exact");
    fill(maxBursts + 1, maxBursts - 3);
    expect(kindFor("a")).toBe("rounded");
    fill(0, maxBursts);
    expect(kindFor("a")).toBe("exact");
  });

  it("forgets a burst 15 seconds after its latest response", () => {
    expect(kindFor("a")).toBe("exact");
    expect(kindFor("b")).toBe("exact");
    vi.advanceTimersByTime(14_000);
    expect(kindFor("a")).toBe("rounded");
    vi.advanceTimersByTime(1_000);
    expect(kindFor("b")).toBe("exact");
    expect(kindFor("a")).toBe("rounded");
    vi.advanceTimersByTime(15_000);
    expect(kindFor("a")).toBe("exact");
    expect(kindFor("b")).toBe("exact");
  });
});
