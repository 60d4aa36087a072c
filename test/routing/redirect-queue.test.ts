/** The queues in which commands on the same keys wait while a cluster redirects one of them. */
import { EventEmitter, once } from "node:events";
import { beforeEach, describe, expect, it } from "vitest";
import { RedirectQueue } from "../../src/routing/redirect-queue.js";

const owner = {};
let detours: RedirectQueue;
let sent: string[];

beforeEach(() => {
  [detours, sent] = [new RedirectQueue(), []];
});

function wait(name: string, keys: readonly string[], isReturned = false): void {
  detours.wait(owner, keys, isReturned, () => sent.push(name));
}

describe("RedirectQueue", () => {
  it("sends a returned command although a newer one waits on its key because of another key", () => {
    const first = detours.begin(owner, ["a"]);
    const second = detours.begin(owner, ["b"]);
    wait("newer", ["a", "b"]);
    detours.end(owner, first);
    expect(detours.isBehind(owner, ["a"])).toBe(true);
    expect(detours.isBehindReturned(owner, ["a"])).toBe(false);
    wait("returned", ["a"], true);
    expect(sent).toEqual(["returned"]);
    detours.end(owner, second);
    expect(sent).toEqual(["returned", "newer"]);
    expect(detours.isEmpty).toBe(true);
  });

  it("keeps the place of a command at the head of its queue", async () => {
    const over = new EventEmitter();
    let settled: Promise<void> | undefined = once(over, "end").then(() => {});
    const wasPending = settled;
    detours.wait(
      owner,
      ["a"],
      false,
      () => sent.push("first"),
      () => settled,
    );
    wait("second", ["a"]);
    expect(sent).toEqual([]);
    settled = undefined;
    over.emit("end");
    await wasPending;
    expect(sent).toEqual(["first", "second"]);
    expect(detours.isEmpty).toBe(true);
  });
});
