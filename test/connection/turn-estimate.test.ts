/** Whether a command waits for others of its turn or is sent at once. */
import { describe, expect, it } from "vitest";
import { TurnEstimate } from "../../src/connection/auto-pipeline.js";
import type { Tidemark } from "../../src/index.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";

function turns(company: TurnEstimate, count: number, given: number): void {
  for (let turn = 0; turn < count; turn++) {
    company.turnBegan();
    for (let one = 0; one < given; one++) company.commandAdded();
    company.turnEnded();
  }
}

it("expects more commands at first, and no longer after commands have come alone for a while", () => {
  const company = new TurnEstimate();
  expect(company.expectsMore).toBe(true);
  turns(company, 7, 1);
  expect(company.expectsMore).toBe(true);
  turns(company, 1, 1);
  expect(company.expectsMore).toBe(false);
});

it("expects more commands again after a turn with two", () => {
  const company = new TurnEstimate();
  turns(company, 20, 1);
  turns(company, 1, 2);
  expect(company.expectsMore).toBe(true);
  turns(company, 8, 1);
  expect(company.expectsMore).toBe(false);
});

it("ignores commands that are added while a turn is sent", () => {
  const company = new TurnEstimate();
  for (let turn = 0; turn < 8; turn++) {
    turns(company, 1, 1);
    company.commandAdded();
  }
  expect(company.expectsMore).toBe(false);
});

describe("Reads of one turn", () => {
  let replica: RedisServer | undefined;
  let tidemark: Tidemark;

  stageTidemark({ replicas: 1 }, (stage) => {
    ({ tidemark } = stage);
    replica = stage.group.replicas[0]?.server;
  });

  it("are sent together, even when nothing was in flight", async () => {
    const received = async (): Promise<number> =>
      Number((await replica?.info("stats"))?.total_reads_processed);
    const { redis } = tidemark.session();
    const turns = 40;
    const before = await received();
    for (let turn = 0; turn < turns; turn++)
      await Promise.all(Array.from({ length: 16 }, () => redis.get("k")));
    // The replication stream and the question itself come beside them.
    expect((await received()) - before).toBeLessThan(1.5 * turns);
  });
});
