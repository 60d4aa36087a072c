/** Which commands are sent together. */
import { Command } from "ioredis";
import { describe, expect, it, vi } from "vitest";
import { TurnBuffer, TurnEstimate } from "../../src/connection/auto-pipeline.js";
import type { Tidemark } from "../../src/index.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";

function turns(company: TurnEstimate, count: number, given: number): void {
  for (let turn = 0; turn < count; turn++) {
    company.turnBegan();
    for (let one = 0; one < given; one++) company.commandGiven();
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
    company.commandGiven();
  }
  expect(company.expectsMore).toBe(false);
});

it("knows a turn with so many commands that more would make them hardly cheaper", () => {
  const estimate = new TurnEstimate();
  estimate.turnBegan();
  for (let given = 1; given < 16; given++) estimate.commandGiven();
  expect(estimate.hasMany).toBe(false);
  estimate.commandGiven();
  expect(estimate.hasMany).toBe(true);
  estimate.turnEnded();
  estimate.turnBegan();
  expect(estimate.hasMany).toBe(false);
});

describe("Commands of one turn", () => {
  let primary: RedisServer;
  let replica: RedisServer | undefined;
  let tidemark: Tidemark;

  stageTidemark({ replicas: 1 }, (stage) => {
    ({ tidemark } = stage);
    primary = stage.group.primary;
    replica = stage.group.replicas[0]?.server;
  });

  it("are sent together when they come from callbacks of their own, and their writes share one INFO", async () => {
    const turns = 20;
    const users = 8;
    const infosBefore = await primary.commandCalls("info");
    for (let turn = 0; turn < turns; turn++) {
      const written = Array.from({ length: users }, async () => {
        // Node calls all of these immediates in one turn, each with its own ticks, as it does with requests that have arrived.
        await new Promise((resolve) => setImmediate(resolve));
        await tidemark.session().redis.set("k", "v");
      });
      await Promise.all(written);
    }
    // Questions that Tidemark asks from time to time come beside them.
    expect((await primary.commandCalls("info")) - infosBefore).toBeLessThan(2 * turns);
  });

  it("are sent although a test of the app has replaced setImmediate", async () => {
    vi.useFakeTimers({ toFake: ["setImmediate"] });
    try {
      const { redis } = tidemark.session();
      expect(await Promise.all([redis.get("k"), redis.set("k", "v"), redis.get("k")])).toHaveLength(3);
    } finally {
      vi.useRealTimers();
    }
  });

  it("go to the server in parts, so that it begins with the first of many", async () => {
    const redis = primary.admin();
    await redis.ping();
    const buffer = new TurnBuffer(redis);
    const ping = (): Promise<unknown> => {
      const command = new Command("ping");
      redis.sendCommand(command, buffer);
      return command.promise;
    };
    const before = redis.stream.bytesWritten;
    const answers = Array.from({ length: 31 }, ping);
    expect(redis.stream.bytesWritten).toBe(before);
    answers.push(ping());
    expect(redis.stream.bytesWritten).toBeGreaterThan(before);
    answers.push(ping());
    buffer.flush();
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 33 }, () => Buffer.from("PONG")));
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
