import { createServer } from "node:http";
import supertest from "supertest";
import { describe, expect, test } from "vitest";
import { waitUntil } from "./wait-until.js";

describe("waitUntil()", () => {
  test("resolves once the condition holds, and stops checking", async () => {
    let asked = 0;
    await waitUntil(() => ++asked === 3, { what: "it was asked three times" });
    expect(asked).toBe(3);
  });

  test("treats a condition that throws as not met yet", async () => {
    let asked = 0;
    const condition = () => {
      asked += 1;
      if (asked < 3) throw new Error("not reachable");
      return true;
    };
    await waitUntil(condition, { what: "it is reachable" });
    expect(asked).toBe(3);
  });

  test("fails at once when an assertion in the condition fails, with any expect", async () => {
    let asked = 0;
    const server = createServer((_request, response) => response.end("stale"));
    const conditions = [
      async () => Boolean(expect("stale").toBe("fresh")),
      async () => Boolean(await supertest(server).get("/").expect(200, "fresh")),
      async () => Boolean(await supertest(server).get("/").expect(204)),
    ];
    for (const condition of conditions) {
      const counted = () => {
        asked += 1;
        return condition();
      };
      await expect(waitUntil(counted, { what: "it is fresh" })).rejects.toThrow(/stale|expected 204/);
    }
    expect(asked).toBe(conditions.length);
  });

  test("names the condition and keeps the last failure as the cause", async () => {
    const cause = new Error("refused");
    const waiting = waitUntil(() => Promise.reject(cause), { what: "the tide turns", timeoutMs: 30 });
    await expect(waiting).rejects.toMatchObject({
      message: expect.stringContaining("the tide turns"),
      cause,
    });
  });

  test("gives up on a condition that never answers", async () => {
    const waiting = waitUntil(() => new Promise<boolean>(() => {}), { what: "it answers", timeoutMs: 30 });
    await expect(waiting).rejects.toThrow("it answers");
  });
});
