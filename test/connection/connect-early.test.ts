/** `connect()` while ioredis waits for its next attempt to reconnect. */
import { expect, it, onTestFinished } from "vitest";
import { Tidemark } from "../../src/index.js";
import { freePort } from "../support/servers/free-port.js";

/** Longer than the test takes, so that the attempt that must not come is still to come when the test looks for its timer. */
const retryMs = 5_000;

function timers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
}

it("leaves no timer that would connect a duplicate again after its end", async () => {
  const before = timers();
  const tidemark = new Tidemark({ primary: { host: "127.0.0.1", port: await freePort() }, replicas: [] });
  onTestFinished(() => tidemark.close());
  tidemark.redis.on("error", () => {});
  const duplicate = tidemark.redis.duplicate({ retryStrategy: () => retryMs });
  duplicate.on("error", () => {});
  // The `once` of `node:events` would reject with the error that comes first.
  await new Promise((resolve) => duplicate.once("reconnecting", resolve));
  const ended = new Promise((resolve) => duplicate.once("end", resolve));
  await expect(duplicate.connect()).rejects.toThrow();
  duplicate.disconnect();
  await ended;
  await tidemark.close();
  expect(timers()).toBeLessThanOrEqual(before);
});
